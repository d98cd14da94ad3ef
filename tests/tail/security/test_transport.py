"""The real server against peers that are slow, silent or rude below the calls: plain sockets and bytes."""

import asyncio
import contextlib

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices.memory import resident_bytes
from isthmus.tail.security import connection, listener, transport

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PING = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"12345678"
HALF_A_REQUEST = bytes([0, 0, 64, 1, 4, 0, 0, 0, 1]) + b"\x82"
HALF_A_HELLO = bytes.fromhex("160301020001")
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Bounds of the server that are short enough to wait for."""
    monkeypatch.setattr(transport, "HANDSHAKE_TIMEOUT_MS", 300)
    monkeypatch.setattr(transport, "IDLE_MS", 600)
    monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.3)


@contextlib.asynccontextmanager
async def raw(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def closed(reader):
    """Wait until the server ends a connection; gives what it said before."""
    said = b""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                said += piece
    return said


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        PREFACE[:8],
        PREFACE,
        PREFACE + SETTINGS,
        PREFACE + SETTINGS + HALF_A_REQUEST,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
    ],
    ids=["nothing", "half a preface", "no settings", "no call", "half a request", "HTTP/1", "noise"],
)
async def test_who_does_not_get_to_a_call_is_disconnected_and_others_are_served(serve, connect, payload, sent):
    server = await serve()
    device = connect(server)
    await device.open()
    async with raw(server.grpc_port) as (reader, writer):
        writer.write(sent)
        assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK
        await closed(reader)
        assert (await device.ask(2, codes=payload)).status == wire.STATUS_OK


@pytest.mark.parametrize("sent", [b"", HALF_A_HELLO, b"GET / HTTP/1.1\r\n\r\n", PREFACE + SETTINGS], ids=len)
@pytest.mark.parametrize("port", ["grpc_port", "metrics_port"])
async def test_a_tls_handshake_that_does_not_end_is_ended(serve, describe, tls, sent, port):
    server = await serve(security=tls[1], metrics_port=0)
    async with raw(getattr(server, port)) as (reader, writer):
        writer.write(sent)
        assert await describe(server, ca=tls[0]) == ("OK", "")
        await closed(reader)
        assert await describe(server, ca=tls[0]) == ("OK", "")


async def test_a_flood_of_pings_is_told_to_be_calm(serve, connect, payload):
    server = await serve()
    device = connect(server)
    await device.open()
    async with raw(server.grpc_port) as (reader, writer):
        writer.write(PREFACE + SETTINGS + PING * 3000)
        assert b"too_many_pings" in await closed(reader)
    assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK


async def test_a_request_that_comes_byte_by_byte_is_cut_off(serve):
    server = await serve(metrics_port=0)
    async with raw(server.metrics_port) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n")
        ended = asyncio.create_task(closed(reader))
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait([ended], timeout=0.02)
        assert await ended == b""


async def test_a_second_request_may_not_dawdle_either(serve):
    server = await serve(metrics_port=0)
    async with raw(server.metrics_port) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\nGET /health/live HTTP/1.1\r\nhos")
        assert (await closed(reader)).count(b"live\n") == 1


@pytest.mark.parametrize("secured", [False, True])
async def test_pages_take_no_more_connections_than_their_bound(serve, tls, secured, monkeypatch):
    monkeypatch.setattr(listener, "CONNECTIONS_MAX", 4)
    monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT_S", 30)
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 30)
    server = await serve(metrics_port=0, **({"security": tls[1]} if secured else {}))
    async with contextlib.AsyncExitStack() as stack:
        readers = [(await stack.enter_async_context(raw(server.metrics_port)))[0] for _ in range(10)]
        ended = [asyncio.create_task(closed(reader)) for reader in readers]
        async with asyncio.timeout(PATIENCE_S):
            while sum(task.done() for task in ended) < 6:
                await asyncio.sleep(0.01)
        assert sum(task.done() for task in ended) == 6
        for task in ended:
            task.cancel()


async def test_connections_beyond_the_bound_are_closed_and_their_memory_too(serve, describe, monkeypatch):
    monkeypatch.setattr(transport, "HANDSHAKE_TIMEOUT_MS", 10_000)
    monkeypatch.setattr(transport, "SPARE_CONNECTIONS", 14)
    server = await serve(streams_max=3)
    before = resident_bytes()
    async with contextlib.AsyncExitStack() as stack:
        readers = [(await stack.enter_async_context(raw(server.grpc_port)))[0] for _ in range(200)]
        ended = [asyncio.create_task(closed(reader)) for reader in readers]
        async with asyncio.timeout(PATIENCE_S):
            while sum(task.done() for task in ended) < 180:
                await asyncio.sleep(0.01)
        assert sum(not task.done() for task in ended) == 20
        for task in ended:
            task.cancel()
    assert resident_bytes() - before < 50e6
    async with asyncio.timeout(PATIENCE_S):
        while await describe(server, host="127.0.0.1") != ("OK", ""):
            await asyncio.sleep(0.01)
