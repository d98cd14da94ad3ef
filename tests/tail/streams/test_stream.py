import asyncio
import zlib

import grpc
import numpy as np
import pytest

from isthmus.codec import predictive
from isthmus.contract import tensor
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.picture import encode_picture
from isthmus.contract.prepare import prepare

native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")
NAN_WHEN_ALL_CODES_ARE_LOW = """
    floats = Cast <to = 1> (codes)
    largest = ReduceMax <axes = [1, 2, 3]> (floats)
    lifted = Add (largest, highest)
    rooted = Sqrt (lifted)
    pooled = GlobalAveragePool (floats)
    turned = Mul (pooled, rooted)
    flat = Flatten (turned)
    scores = Gemm (flat, weights, bias)
"""


# ------------------------------------------------------------------------------------------------------------- answers


async def test_an_answer_to_codes_is_what_the_tail_network_gives(run_network, device, tiny_bundle, codes, payload):
    answer = await device.ask(1, codes=payload)
    (scores,) = answer.outputs
    assert answer.status == wire.STATUS_OK
    assert (scores.name, answer.sequence, answer.decoded) == ("scores", 1, True)
    np.testing.assert_allclose(tensor.unpack(scores), run_network(tiny_bundle, "tail.onnx", codes[0][np.newaxis]), rtol=1e-6)


async def test_an_answer_to_a_picture_is_what_the_whole_network_gives(run_network, device, tiny_bundle):
    picture = np.random.default_rng(3).integers(0, 256, size=(40, 50, 3), dtype=np.uint8)
    sent = wire.Picture(format="png", data=encode_picture(picture, "png", 1))
    answer = await device.ask(1, picture=sent)
    want = run_network(tiny_bundle, "whole.onnx", prepare(picture, tiny_bundle.manifest.preparation))
    assert (answer.status, answer.decoded) == (wire.STATUS_OK, False)
    np.testing.assert_allclose(tensor.unpack(answer.outputs[0]), want, rtol=1e-6)


async def test_the_smaller_point_fills_the_channels_that_did_not_cross_with_zero(run_network, device, tiny_bundle, codes):
    answer = await device.ask(1, codes=device.codec.encode(codes, point=1), point=1)
    codes[0][2:] = 0
    np.testing.assert_allclose(
        tensor.unpack(answer.outputs[0]), run_network(tiny_bundle, "tail.onnx", codes[0][np.newaxis]), rtol=1e-6
    )


async def test_opening_tells_modes_window_and_limits(serve, connect):
    opened = await connect(await serve()).open(modes=[wire.MODE_TEMPORAL, wire.MODE_ZSTD, 99])
    assert list(opened.modes) == [wire.MODE_ZSTD, wire.MODE_RAW]
    assert (opened.allowed, opened.limits.captures_in_flight, opened.limits.references_kept) == (3, 3, 4)
    assert (opened.resumed, len(opened.session), opened.takes_pictures) == (False, 16, True)


async def test_every_answer_raises_the_window_by_one(device, payload):
    assert [(await device.ask(sequence, codes=payload)).allowed for sequence in (1, 2, 9)] == [4, 5, 6]


async def test_the_total_time_covers_the_stages(device, payload):
    times = (await device.ask(1, codes=payload)).times
    stages = times.queue_us + times.decode_us + times.compute_us + times.post_us
    assert 0 < times.compute_us <= stages <= times.total_us + 4  # four roundings


async def test_close_ends_the_stream_well_after_its_answers(gate, device, payload):
    for sequence in (1, 2, 3):
        await device.capture(sequence, codes=payload)
    await device.send(close=wire.Close())
    await asyncio.sleep(0.05)  # the close is read while all three are unanswered; it passes without
    gate.open.set()
    assert [(await device.answer()).sequence for _ in range(3)] == [1, 2, 3]
    assert await device.end() == grpc.StatusCode.OK


async def test_half_closing_ends_the_stream_well(device):
    await device.call.done_writing()
    assert await device.end() == grpc.StatusCode.OK


# --------------------------------------------------------------------------------------- what is wrong with one capture


def resealed(payload, **changed):
    """The payload with bytes changed and the checksum put right."""
    body = bytearray(payload[:-4])
    for position, value in changed.items():
        body[int(position[1:])] = value
    return bytes(body) + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda payload: payload[:-1], "checksum"),
        (lambda payload: payload[:3], "at least 5 bytes"),
        (lambda payload: payload[:-1] + bytes([payload[-1] ^ 1]), "checksum"),
        (lambda payload: resealed(payload, _0=200), "mode 200 is unknown"),
        (lambda payload: resealed(payload, _0=4), "mode temporal was not agreed on"),
        (lambda payload: resealed(payload[:-5] + bytes(4)), "raw body at point 'all' has 32 bytes"),
        (lambda payload: payload + bytes(1000), "none is longer than"),
        (lambda _payload: b"", "at least 5 bytes"),
    ],
    ids=["truncated", "stump", "bad checksum", "unknown mode", "mode not agreed", "wrong size", "overlong", "empty"],
)
async def test_a_wrong_payload_is_answered_invalid_and_the_stream_goes_on(device, payload, damage, told):
    answer = await device.ask(1, codes=damage(payload))
    assert (answer.status, answer.decoded) == (wire.STATUS_INVALID, False)
    assert told in answer.message
    assert "\n" not in answer.message
    assert (await device.ask(2, codes=payload)).status == wire.STATUS_OK


async def test_a_point_that_does_not_exist_is_answered_invalid(device, payload):
    answer = await device.ask(1, codes=payload, point=7)
    assert (answer.status, answer.message) == (
        wire.STATUS_INVALID,
        "operating point 7 does not exist; the bundle has 2, counted from 0",
    )


async def test_a_payload_of_another_point_is_answered_invalid(device, payload):
    assert (await device.ask(1, codes=payload, point=1)).status == wire.STATUS_INVALID


async def test_a_capture_without_content_is_answered_invalid(device):
    assert "neither" in (await device.ask(1)).message


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (wire.Picture(format="gif", data=b"GIF89a"), "not taken"),
        (wire.Picture(format="png", data=b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(50)), "no picture size"),
        (wire.Picture(format="png", data=b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\1\0\0" * 2), "65536x65536 pixels"),
        (wire.Picture(format="jpeg", data=b"\xff" * (6 << 20) + b"."), "at most 6291456 are taken"),
    ],
    ids=["format", "damaged", "gigapixels", "too many bytes"],
)
async def test_a_wrong_picture_is_answered_invalid_and_the_stream_goes_on(device, payload, picture, told):
    answer = await device.ask(1, picture=picture)
    assert answer.status == wire.STATUS_INVALID
    assert told in answer.message
    assert (await device.ask(2, codes=payload)).status == wire.STATUS_OK


async def test_a_picture_for_a_bundle_without_the_whole_network_is_answered_invalid(serve, connect, make_tiny_bundle):
    bundle = make_tiny_bundle(without=("whole.onnx",))
    device = connect(await serve(bundle=bundle), bundle)
    assert not (await device.open()).takes_pictures
    assert "takes no pictures" in (await device.ask(1, picture=wire.Picture(format="png", data=b"x"))).message


async def test_a_frame_past_its_deadline_is_decoded_and_not_computed(device, payload):
    answer = await device.ask(1, codes=payload, deadline_us=0)
    assert (answer.status, answer.decoded, len(answer.outputs)) == (wire.STATUS_EXPIRED, True, 0)
    assert (await device.ask(2, codes=payload, reference=1)).status == wire.STATUS_OK


async def test_a_frame_whose_deadline_passes_in_the_queue_is_not_computed(gate, device, payload):
    await device.capture(1, codes=payload)
    await asyncio.to_thread(gate.entered.wait, 30)
    await device.capture(2, codes=payload, deadline_us=1)
    await asyncio.sleep(0.01)
    gate.open.set()
    answers = {answer.sequence: answer for answer in [await device.answer(), await device.answer()]}
    assert {sequence: answer.status for sequence, answer in answers.items()} == {1: wire.STATUS_OK, 2: wire.STATUS_EXPIRED}
    assert answers[2].decoded


async def test_a_reference_that_is_not_held_needs_a_key_frame(device, payload):
    answer = await device.ask(1, codes=payload, reference=0)
    assert (answer.status, answer.message) == (wire.STATUS_KEY_FRAME_NEEDED, "frame 0 is not held; send a key frame")


async def test_the_server_holds_four_references(device, payload):
    for sequence in range(1, 6):
        await device.ask(sequence, codes=payload)
    assert (await device.ask(6, codes=payload, reference=1)).status == wire.STATUS_KEY_FRAME_NEEDED
    assert (await device.ask(7, codes=payload, reference=2)).status == wire.STATUS_OK


async def test_a_network_that_gives_nan_fails_the_frame_and_not_the_stream(serve, connect, make_tiny_bundle, codes):
    bundle = make_tiny_bundle(tail_body=NAN_WHEN_ALL_CODES_ARE_LOW)
    device = connect(await serve(bundle=bundle), bundle)
    await device.open()
    low = await device.ask(1, codes=device.codec.encode((np.full_like(codes[0], -8),)))
    assert (low.status, low.message) == (
        wire.STATUS_FAILED,
        "the network gave NaN or infinity in output 'scores' for this input",
    )
    assert (await device.ask(2, codes=device.codec.encode(codes))).status == wire.STATUS_OK


async def test_a_full_queue_is_answered_overloaded_with_a_hint(gate, serve, connect, payload):
    device = connect(await serve(queue_max=1))
    await device.open()
    await device.capture(1, codes=payload)
    await asyncio.to_thread(gate.entered.wait, 30)
    await device.capture(2, codes=payload)
    await device.capture(3, codes=payload)
    refused = await device.answer()
    assert (refused.sequence, refused.status, refused.decoded) == (3, wire.STATUS_OVERLOADED, True)
    assert refused.retry_after_ms > 0
    gate.open.set()
    assert [(await device.answer()).status for _ in range(2)] == [wire.STATUS_OK] * 2


# ---------------------------------------------------------------------------------------------- what breaks the stream


async def test_a_stream_that_does_not_begin_with_open_is_refused(serve, connect, payload):
    device = connect(await serve())
    await device.capture(1, codes=payload)
    assert await device.end() == grpc.StatusCode.INVALID_ARGUMENT
    assert await device.details() == "a stream begins with open, got capture"


async def test_a_stream_that_ends_before_open_is_refused(serve, connect):
    device = connect(await serve())
    await device.call.done_writing()
    assert await device.end() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_device_of_another_bundle_is_told_both_digests(serve, connect, tiny_bundle, make_tiny_bundle):
    other = make_tiny_bundle(seed=2)
    device = connect(await serve(), other)
    await device.send(open=wire.Open(contract_digest=bytes.fromhex(other.digest)))
    assert await device.end() == grpc.StatusCode.FAILED_PRECONDITION
    details = await device.details()
    assert other.digest[:12] in details
    assert tiny_bundle.digest[:12] in details
    assert "give both the same bundle" in details


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"bundle": "other"}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"digest": b""}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"device_id": "x" * 513}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ({"modes": [1] * 65}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ({"session": b"short"}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_an_open_that_cannot_be_is_refused(serve, connect, fields, code):
    device = connect(await serve())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await device.open(**fields)
    assert caught.value.code() == code


async def test_a_second_open_ends_the_stream(device):
    await device.send(open=wire.Open())
    assert await device.end() == grpc.StatusCode.INVALID_ARGUMENT


async def test_an_empty_message_ends_the_stream(device):
    await device.send()
    assert await device.end() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("second", [1, 0])
async def test_a_sequence_that_does_not_grow_ends_the_stream(device, payload, second):
    await device.ask(1, codes=payload)
    await device.capture(second, codes=payload)
    assert await device.end() == grpc.StatusCode.INVALID_ARGUMENT
    assert await device.details() == f"sequence {second} follows 1; it must grow"


async def test_more_captures_than_allowed_end_the_stream(gate, device, payload):
    for sequence in range(1, 5):
        await device.capture(sequence, codes=payload)
    assert await device.end() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "capture 4 of this stream came while 3 were allowed" in await device.details()
    gate.open.set()


async def test_an_oversized_message_ends_its_stream_only(serve, connect, payload):
    server = await serve()
    device, other = connect(server), connect(server)
    await device.open()
    await other.open()
    await device.capture(1, codes=bytes(9 << 20))
    assert await device.end() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await other.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_a_cancelled_stream_leaves_the_server_serving(gate, serve, connect, payload):
    server = await serve()
    device, other = connect(server), connect(server)
    await device.open()
    await device.capture(1, codes=payload)
    await asyncio.to_thread(gate.entered.wait, 30)
    device.call.cancel()
    gate.open.set()
    await other.open()
    assert (await other.ask(1, codes=payload)).status == wire.STATUS_OK
