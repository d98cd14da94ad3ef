import asyncio
import contextlib

import grpc
import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.tail.streams import dialogue

UNKNOWN_FIELD = b"\xba\x3e\x03abc"
"""Field 999, three bytes."""
BROKEN = (grpc.aio.AioRpcError, asyncio.InvalidStateError)
"""What a client sees that writes to a call that is over."""


def stub_on(port, *options):
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1), *options])
    return channel, split_pb2_grpc.TailStub(channel)


async def test_unknown_fields_of_a_later_version_are_passed_over(serve, channel_to, tiny_bundle, payload):
    call = channel_to(await serve()).stream_stream("/isthmus.v1.Tail/Stream", None, wire.FromTail.FromString)()
    opening = wire.Open(contract_digest=bytes.fromhex(tiny_bundle.digest), modes=[wire.MODE_ZSTD])
    for message in (wire.ToTail(open=opening), wire.ToTail(capture=wire.Capture(sequence=1, codes=payload))):
        await call.write(message.SerializeToString() + UNKNOWN_FIELD)
    assert (await call.read()).HasField("opened")
    assert (await call.read()).answer.status == wire.STATUS_OK
    call.cancel()


async def test_a_message_of_a_later_version_alone_ends_its_stream(serve, channel_to, still_serves):
    server = await serve()
    call = channel_to(server).stream_stream("/isthmus.v1.Tail/Stream", None, wire.FromTail.FromString)()
    await call.write(UNKNOWN_FIELD)
    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert await still_serves(server)


async def test_tiny_messages_without_end_stop_at_the_first_that_means_nothing(serve, connect, still_serves):
    server = await serve()
    device = connect(server)
    await device.open()
    with contextlib.suppress(*BROKEN):
        for _ in range(100_000):
            await device.send(evidence=wire.Evidence(request=1))
    # A client of gRPC that is still writing learns only that its stream is over.
    assert await device.end() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
    await gone(server, streams=0)
    assert await still_serves(server)


async def test_a_gzip_bomb_is_refused_before_it_is_unpacked(serve, still_serves):
    server = await serve()
    channel, stub = stub_on(server.grpc_port, ("grpc.max_send_message_length", -1))
    call = stub.Stream(compression=grpc.Compression.Gzip)
    with contextlib.suppress(*BROKEN):
        await call.write(wire.ToTail(capture=wire.Capture(sequence=1, codes=bytes(64 << 20))))
    assert await call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in await call.details()
    await channel.close()
    assert await still_serves(server)


@pytest.mark.parametrize("cut_after_bytes", [30, 200, 100_000, 3_000_000])
async def test_a_connection_reset_in_the_middle_of_a_message_ends_its_stream_only(
    serve, cutting, still_serves, tiny_bundle, cut_after_bytes
):
    server = await serve()
    channel, stub = stub_on(await cutting(server.grpc_port, cut_after_bytes))
    call = stub.Stream()
    with contextlib.suppress(*BROKEN):
        await call.write(wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(tiny_bundle.digest))))
        await call.write(wire.ToTail(capture=wire.Capture(sequence=1, codes=bytes(6 << 20))))
        await call.read()
        await call.read()
    assert await call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    await channel.close()
    assert await still_serves(server)
    await gone(server, streams=1)


async def gone(server, streams):
    """Wait until the server has given up all but so many streams."""
    async with asyncio.timeout(30):
        while server._service.streams > streams:
            await asyncio.sleep(0.001)


async def test_a_stream_that_never_opens_is_ended(serve, connect, monkeypatch):
    monkeypatch.setattr(dialogue, "OPEN_TIMEOUT_S", 0.05)
    device = connect(await serve())
    assert await device.end() == grpc.StatusCode.INVALID_ARGUMENT
    assert "no open came within 0.05 s" in await device.details()


async def test_an_idle_stream_stays_and_costs_others_nothing(serve, connect, still_serves, payload):
    server = await serve()
    idle = connect(server)
    await idle.open()
    for _ in range(20):
        assert await still_serves(server)
    assert (await idle.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_a_call_whose_time_is_over_ends_and_leaves_nothing(serve, channel_to, still_serves, tiny_bundle):
    server = await serve()
    stub = split_pb2_grpc.TailStub(channel_to(server))
    for timeout_s in (0.0, 0.001, 0.05):
        call = stub.Stream(timeout=timeout_s)
        with contextlib.suppress(*BROKEN):
            await call.write(wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(tiny_bundle.digest))))
        # Mostly DEADLINE_EXCEEDED; where the time is over while the call is being made, gRPC's client calls it INTERNAL.
        assert await call.code() is not grpc.StatusCode.OK
    await gone(server, streams=0)
    assert await still_serves(server)


async def test_a_storm_of_reconnects_leaves_sessions_and_no_streams(serve, tiny_bundle, still_serves):
    """Each of thirty devices comes ten times, on a connection of its own, and half of the time leaves without a word."""
    server = await serve(sessions_max=300)

    async def storm(number):
        for attempt in range(10):
            channel, stub = stub_on(server.grpc_port)
            call = stub.Stream()
            opening = wire.Open(contract_digest=bytes.fromhex(tiny_bundle.digest), device_id=f"{number}", modes=[2])
            await call.write(wire.ToTail(open=opening))
            assert (await call.read()).HasField("opened")
            if attempt % 2:
                await call.write(wire.ToTail(close=wire.Close()))
                assert await call.read() is grpc.aio.EOF
            await channel.close()

    await asyncio.gather(*(storm(number) for number in range(30)))
    await gone(server, streams=0)
    assert len(server._sessions) == 300
    assert await still_serves(server)


async def test_a_stream_that_is_refused_while_it_is_greeted_is_told_so(serve, connect):
    """The refusal cuts in on the greeting, at another moment of it each time."""
    server = await serve()
    for number in range(100):
        device = connect(server)
        with contextlib.suppress(*BROKEN):
            await device.send(open=wire.Open(contract_digest=bytes.fromhex(device.bundle.digest), modes=[wire.MODE_ZSTD]))
            for _ in range(number % 4 + 1):
                await device.send(evidence=wire.Evidence(request=2))
        async with asyncio.timeout(30):
            assert await device.end() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
