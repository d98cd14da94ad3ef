"""What a stream finds again: its session, and the frames that later ones build on."""

import asyncio

import grpc
import numpy as np
import pytest

from isthmus.codec import predictive, tables
from isthmus.codec.codec import Codec
from isthmus.contract import tensor
from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices import golden

native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")


# ------------------------------------------------------------------------------------------------------------ sessions


async def test_a_resumed_session_keeps_its_references(serve, connect, payload):
    server = await serve()
    device = connect(server)
    session = (await device.open()).session
    for sequence in range(1, 7):
        await device.ask(sequence, codes=payload)
    await device.close()
    device = connect(server)
    opened = await device.open(session=session)
    assert (opened.resumed, opened.session, list(opened.references), opened.allowed) == (True, session, [3, 4, 5, 6], 3)
    assert (await device.ask(7, codes=payload, reference=6)).status == wire.STATUS_OK


async def test_the_session_of_another_device_is_not_handed_over(serve, connect, payload):
    server = await serve()
    device = connect(server)
    session = (await device.open(device_id="one")).session
    opened = await connect(server).open(device_id="two", session=session)
    assert not opened.resumed
    assert opened.session != session
    assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_a_new_stream_takes_the_session_over_and_the_old_one_ends(gate, serve, connect, payload):
    server = await serve()
    old = connect(server)
    session = (await old.open()).session
    await old.capture(1, codes=payload)
    await old.capture(2, codes=payload)
    await asyncio.to_thread(gate.entered.wait, 30)
    new = connect(server)
    assert (await new.open(session=session)).resumed
    assert await old.end() == grpc.StatusCode.ABORTED
    gate.open.set()
    assert (await new.ask(3, codes=payload, reference=1)).status == wire.STATUS_OK
    assert gate.frames == 2, "the queued frame of the old stream was computed, or the frame of the new one was not"


# ------------------------------------------------------------------------------------------------------- temporal frames


@pytest.fixture
async def temporal_device(serve, connect, coded_bundle):
    """An opened stream that speaks every mode."""
    device = connect(await serve(bundle=coded_bundle), coded_bundle)
    device.codec = Codec(coded_bundle.manifest.boundary, coded_bundle.manifest.points, tables=tables.of_bundle(coded_bundle))
    opened = await device.open(modes=[wire.MODE_TEMPORAL, wire.MODE_INTRA])
    assert list(opened.modes) == [wire.MODE_TEMPORAL, wire.MODE_INTRA, wire.MODE_RAW]
    return device


@pytest.fixture
def frame(coded_bundle):
    """A frame such as the head of the bundle gives."""
    return (golden.read(coded_bundle).codes[0][0],)


def next_frame(codes):
    moved = codes[0].copy()
    moved[0, 0, 0] ^= 1
    return (moved,)


@native
async def test_a_temporal_frame_is_decoded_with_its_reference(run_network, temporal_device, frame, coded_bundle):
    following = next_frame(frame)
    payload = temporal_device.codec.encode(following, reference=frame)
    assert payload[0] == wire.MODE_TEMPORAL
    await temporal_device.ask(1, codes=temporal_device.codec.encode(frame))
    answer = await temporal_device.ask(2, codes=payload, reference=1)
    want = run_network(coded_bundle, "tail.onnx", following[0][np.newaxis])
    np.testing.assert_allclose(tensor.unpack(answer.outputs[0]), want, rtol=1e-6)


@native
async def test_a_frame_that_came_too_late_still_serves_as_reference(temporal_device, frame):
    late = await temporal_device.ask(1, codes=temporal_device.codec.encode(frame), deadline_us=0)
    assert (late.status, late.decoded) == (wire.STATUS_EXPIRED, True)
    payload = temporal_device.codec.encode(next_frame(frame), reference=frame)
    assert (await temporal_device.ask(2, codes=payload, reference=1)).status == wire.STATUS_OK


@native
async def test_a_temporal_frame_without_its_reference_needs_a_key_frame(temporal_device, frame):
    payload = temporal_device.codec.encode(next_frame(frame), reference=frame)
    for sequence, reference in ((1, {}), (2, {"reference": 1})):
        answer = await temporal_device.ask(sequence, codes=payload, **reference)
        assert (answer.status, answer.decoded, len(answer.outputs)) == (wire.STATUS_KEY_FRAME_NEEDED, False, 0)


@native
async def test_a_temporal_frame_with_another_reference_gives_no_answer(temporal_device, frame):
    await temporal_device.ask(1, codes=temporal_device.codec.encode(next_frame(frame)))
    payload = temporal_device.codec.encode(next_frame(frame), reference=frame)
    answer = await temporal_device.ask(2, codes=payload, reference=1)
    assert (answer.status, answer.decoded, len(answer.outputs)) == (wire.STATUS_INVALID, False, 0)
    assert "builds on another reference" in answer.message


async def test_a_server_without_the_c_core_agrees_to_modes_without_tables(serve, connect, coded_bundle, monkeypatch):
    monkeypatch.setattr("isthmus.codec.codec.IS_FAST", False)
    opened = await connect(await serve(bundle=coded_bundle), coded_bundle).open(modes=[4, 3, 2, 1])
    assert list(opened.modes) == [wire.MODE_ZSTD, wire.MODE_RAW]
