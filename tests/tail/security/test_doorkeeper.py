import asyncio
import datetime

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.tail.security import token_file
from isthmus.tail.security.identity import current
from isthmus.tail.security.settings import SecuritySettings
from isthmus.tail.service import TailService

SOON = datetime.datetime(2026, 5, 18, tzinfo=datetime.UTC)


@pytest.fixture
async def guarded(serve, make_token, tmp_path):
    """A server that asks for tokens; one of the scope stream is in `token`, its grant in `grant`."""
    grant, text = make_token()
    server = await serve(security=SecuritySettings(tokens=tmp_path / "tokens.jsonl"), metrics_port=0)
    server.token, server.grant, server.tokens = text, grant, tmp_path / "tokens.jsonl"
    return server


async def test_a_call_with_a_token_is_answered(guarded, describe):
    assert await describe(guarded, token=guarded.token) == ("OK", "")


async def test_a_call_without_a_token_is_unauthenticated(guarded, describe):
    status, details = await describe(guarded)
    assert (status, details[:41]) == ("UNAUTHENTICATED", "this server asks for a token and none cam")


async def test_a_token_without_the_scope_is_denied(guarded, describe, make_token):
    status, details = await describe(guarded, token=make_token("viewer", "metrics")[1])
    assert status == "PERMISSION_DENIED"
    assert details.endswith("(viewer) has the scopes metrics, and this call needs stream")


async def test_a_new_token_counts_at_once_and_a_revoked_one_no_more(guarded, describe, make_token):
    _, text = make_token("camera-2")
    assert await describe(guarded, token=text) == ("OK", "")
    token_file.revoke(guarded.tokens, "camera-2", SOON)
    status, details = await describe(guarded, token=text)
    assert (status, "revoked on 2026-05-18" in details) == ("UNAUTHENTICATED", True)


async def test_a_broken_token_file_leaves_the_old_tokens(guarded, describe):
    guarded.tokens.write_text("{")
    assert await describe(guarded, token=guarded.token) == ("OK", "")


async def test_health_needs_no_token(guarded, channel_to):
    reply = await health_pb2_grpc.HealthStub(channel_to(guarded)).Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("method", ["/isthmus.v1.Tail/Stream", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"])
async def test_a_stream_without_a_token_is_refused_before_it_says_anything(guarded, channel_to, method):
    call = channel_to(guarded).stream_stream(method)()
    assert await call.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_message_of_a_stranger_is_not_even_read(guarded, channel_to, monkeypatch):
    read = []
    monkeypatch.setattr(wire.DescribeRequest, "FromString", read.append)
    call = channel_to(guarded).unary_unary("/isthmus.v1.Tail/Describe")(bytes(3 << 20))
    assert await call.code() == grpc.StatusCode.UNAUTHENTICATED
    assert read == []


async def test_a_method_that_is_not_there_is_unimplemented(guarded, channel_to):
    call = channel_to(guarded).unary_unary("/isthmus.v1.Tail/Explode")(b"")
    assert await call.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_the_handler_knows_whose_token_it_was(serve, describe, make_token, monkeypatch, tmp_path):
    seen = []

    async def record(_self, _request, _context):
        seen.append(current())
        return wire.DescribeReply()

    monkeypatch.setattr(TailService, "Describe", record)
    grant, text = make_token()
    server = await serve(security=SecuritySettings(tokens=tmp_path / "tokens.jsonl"))
    await describe(server, token=text)
    assert seen == [grant.identity]


# --------------------------------------------------------------------------------------------------------- turned out again


async def _open(channel, bundle, token, session=b""):
    call = split_pb2_grpc.TailStub(channel).Stream(metadata=(("authorization", f"Bearer {token}"),))
    digest = bytes.fromhex(bundle.digest)
    await call.write(wire.ToTail(open=wire.Open(contract_digest=digest, modes=[wire.MODE_ZSTD], session=session)))
    return call, (await call.read()).opened


async def _open_stream(server, channel, bundle):
    call, opened = await _open(channel, bundle, server.token)
    assert opened.session
    return call


async def test_a_session_is_resumed_by_its_own_caller_only(guarded, channel_to, tiny_bundle, make_token):
    renewed, other = make_token("camera-1")[1], make_token("camera-2")[1]
    call, opened = await _open(channel_to(guarded), tiny_bundle, guarded.token)
    resumed = [(await _open(channel_to(guarded), tiny_bundle, token, opened.session))[1].resumed for token in (other, renewed)]
    assert resumed == [False, True]
    call.cancel()


async def test_a_stream_ends_when_its_token_is_revoked(guarded, channel_to, tiny_bundle):
    call = await _open_stream(guarded, channel_to(guarded), tiny_bundle)
    token_file.revoke(guarded.tokens, guarded.grant.id, SOON)
    guarded._security.doorkeeper.sweep()
    assert await call.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "revoked on 2026-05-18" in await call.details()
    assert guarded._service.streams == 0


async def test_a_stream_of_a_good_token_survives_the_sweep(guarded, channel_to, tiny_bundle):
    call = await _open_stream(guarded, channel_to(guarded), tiny_bundle)
    guarded._security.doorkeeper.sweep()
    await call.write(wire.ToTail(close=wire.Close()))
    assert await call.read() is grpc.aio.EOF
    assert await call.code() == grpc.StatusCode.OK


async def test_nothing_is_remembered_of_streams_that_ended(guarded, channel_to, tiny_bundle):
    call = await _open_stream(guarded, channel_to(guarded), tiny_bundle)
    doorkeeper = guarded._security.doorkeeper
    assert len(doorkeeper._inside) == 1
    call.cancel()
    async with asyncio.timeout(20):
        while doorkeeper._inside:
            await asyncio.sleep(0.01)
    assert doorkeeper._turned_out == {}
