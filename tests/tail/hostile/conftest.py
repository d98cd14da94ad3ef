"""Abuse over real sockets, and the question that follows all of it: is a polite device still served?"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.server import Server

Serves = Callable[[Server], Awaitable[bool]]
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST and drops what is not sent."""


@pytest.fixture
def still_serves(connect: Callable, payload: bytes) -> Serves:
    """Whether a new device gets an answer."""

    async def ask(server: Server) -> bool:
        device = connect(server)
        await device.open(device_id="polite")
        answer = await device.ask(1, codes=payload)
        return bool(answer.status == wire.STATUS_OK)

    return ask


@pytest.fixture
async def cutting() -> AsyncIterator[Callable[[int, int], Awaitable[int]]]:
    """A function that puts a wire before a port; it resets the connection after so many bytes. Gives the port of the wire."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(port: int, cut_after_bytes: int) -> int:
            async def carry(device_in: asyncio.StreamReader, device_out: asyncio.StreamWriter) -> None:
                tail_in, tail_out = await asyncio.open_connection("127.0.0.1", port)
                back = asyncio.create_task(_copy(tail_in, device_out))
                left = cut_after_bytes
                while left and (data := await device_in.read(min(left, 65536))):
                    tail_out.write(data)
                    await tail_out.drain()
                    left -= len(data)
                back.cancel()
                for writer in (tail_out, device_out):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    writer.transport.abort()

            wire_server = await asyncio.start_server(carry, "127.0.0.1", 0)
            stack.push_async_callback(wire_server.wait_closed)
            stack.callback(wire_server.close)
            return int(wire_server.sockets[0].getsockname()[1])

        yield start


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
