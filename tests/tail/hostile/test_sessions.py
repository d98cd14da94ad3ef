import asyncio
import secrets

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc


@pytest.mark.parametrize("session", [bytes(16), b"\xff" * 16, secrets.token_bytes(16)])
async def test_a_session_that_nobody_has_gets_a_new_one(serve, connect, session):
    opened = await connect(await serve()).open(session=session)
    assert (opened.resumed, opened.session != session, list(opened.references)) == (False, True, [])


async def test_an_expired_session_gets_a_new_one_and_a_key_frame_is_asked_for(serve, connect, payload):
    server = await serve(session_idle_s=1e-6)
    device = connect(server)
    session = (await device.open()).session
    await device.ask(1, codes=payload)
    await device.close()
    device = connect(server)
    assert not (await device.open(session=session)).resumed
    assert (await device.ask(2, codes=payload, reference=1)).status == wire.STATUS_KEY_FRAME_NEEDED


async def test_a_skipped_sequence_is_a_frame_that_was_dropped(device, payload):
    for sequence in (0, 7, 2**32, 2**64 - 1):
        assert (await device.ask(sequence, codes=payload)).status == wire.STATUS_OK


async def test_a_capture_replayed_on_the_next_stream_is_refused(serve, connect, payload):
    server = await serve()
    device = connect(server)
    session = (await device.open()).session
    await device.ask(5, codes=payload)
    await device.close()
    device = connect(server)
    await device.open(session=session)
    await device.capture(5, codes=payload)
    await device.end()
    assert await device.details() == "sequence 5 follows 5; it must grow"


async def test_sessions_without_end_leave_as_many_as_are_allowed(serve, channel_to, tiny_bundle, still_serves):
    server = await serve(sessions_max=256)
    stub = split_pb2_grpc.TailStub(channel_to(server))
    opening = wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(tiny_bundle.digest), modes=[wire.MODE_ZSTD]))

    async def come_and_go(count):
        for _ in range(count):
            call = stub.Stream(iter([opening]))
            assert (await call.read()).HasField("opened")
            call.cancel()

    await asyncio.gather(*(come_and_go(100) for _ in range(20)))
    assert len(server._sessions) == 256
    assert await still_serves(server)
