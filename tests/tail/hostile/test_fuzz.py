"""Frames of the protocol, damaged with a fixed seed, over a real socket."""

import asyncio
import contextlib
import random

import grpc
import pytest

from isthmus.contract.generated import split_pb2 as wire

ENDS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,  # gRPC's own, of a write that found the call over
}
STREAMS = 500


def conversation(source, bundle, payload):
    """Messages of a sound stream in odd order, as bytes."""
    picture = wire.Picture(format="png", data=b"\x89PNG\r\n\x1a\n" + source.randbytes(30))
    kinds = [
        wire.ToTail(capture=wire.Capture(sequence=source.getrandbits(64), codes=payload)),
        wire.ToTail(capture=wire.Capture(sequence=2, codes=payload, reference=1, deadline_us=source.getrandbits(32))),
        wire.ToTail(capture=wire.Capture(sequence=3, codes=source.randbytes(source.randrange(60)), point=source.randrange(4))),
        wire.ToTail(capture=wire.Capture(sequence=4, picture=picture)),
        wire.ToTail(evidence=wire.Evidence(request=source.randrange(3), message="x" * source.randrange(600))),
        wire.ToTail(close=wire.Close()),
    ]
    opening = wire.Open(
        contract_digest=bytes.fromhex(bundle.digest),
        device_id="fuzz\n\x00\u202e"[: source.randrange(8)],
        modes=[source.randrange(20) for _ in range(source.randrange(4))],
        session=source.randbytes(source.choice([0, 0, 16, 5])),
    )
    first = [wire.ToTail(open=opening)] if source.random() < 0.9 else []
    return [message.SerializeToString() for message in first + source.choices(kinds, k=source.randrange(1, 6))]


def damaged(source, data):
    """The bytes with some changed, cut, added or repeated; often as they are, so that conversations get somewhere."""
    data = bytearray(data)
    for _ in range(source.choice([0, 0, 0, 1, 2])):
        place = source.randrange(len(data) + 1)
        way = source.randrange(4)
        if way == 0 and place < len(data):
            data[place] ^= 1 << source.randrange(8)
        elif way == 1:
            del data[place:]
        elif way == 2:
            data[place:place] = source.randbytes(source.randrange(1, 20))
        else:
            data[place:place] = data[source.randrange(len(data) + 1) :]
    return bytes(data)


async def converse(call, messages):
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for message in messages:
            await call.write(message)
        await call.done_writing()
    with contextlib.suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    return await call.code()


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_damaged_frame_costs_more_than_its_stream(serve, channel_to, connect, tiny_bundle, payload, seed):
    server = await serve(metrics_port=0)
    polite = connect(server)
    await polite.open(device_id="polite")
    stream = channel_to(server).stream_stream("/isthmus.v1.Tail/Stream")
    source, seen = random.Random(seed), set()
    for number in range(STREAMS):
        messages = [damaged(source, data) for data in conversation(source, tiny_bundle, payload)]
        seen.add(await converse(stream(), messages))
        if number % 10 == 0:
            assert (await polite.ask(number, codes=payload)).status == wire.STATUS_OK
    assert seen <= ENDS
    assert {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT} <= seen, "no conversation got anywhere"
    assert (await polite.ask(STREAMS, codes=payload)).status == wire.STATUS_OK
    assert 'isthmus_streams_ended_total{reason="failed"} 0.0' in server._metrics.text().decode().splitlines()
