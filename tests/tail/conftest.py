"""A real server on a loopback port, and a device that speaks to it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
import pytest

from isthmus.codec.codec import Codec
from isthmus.contract.bundle import Bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.tail.server import Server
from isthmus.tail.settings import ServerSettings

Serve = Callable[..., Any]
Connect = Callable[..., Any]


class Device:
    """One stream of a device, as the wire has it."""

    def __init__(self, stub: split_pb2_grpc.TailStub, bundle: Bundle) -> None:
        self.stub = stub
        self.bundle = bundle
        self.codec = Codec(bundle.manifest.boundary, bundle.manifest.points)
        self.call = stub.Stream()

    async def send(self, **fields: Any) -> None:
        await self.call.write(wire.ToTail(**fields))

    async def receive(self) -> wire.FromTail:
        message = await self.call.read()
        assert message is not grpc.aio.EOF, "the server ended the stream"
        return message

    async def open(self, *, digest: bytes | None = None, **fields: Any) -> wire.Opened:
        digest = bytes.fromhex(self.bundle.digest) if digest is None else digest
        fields = {"device_id": "camera", "modes": [wire.MODE_ZSTD], **fields}
        await self.send(open=wire.Open(contract_digest=digest, **fields))
        return (await self.receive()).opened

    async def capture(self, sequence: int, **fields: Any) -> None:
        await self.send(capture=wire.Capture(sequence=sequence, **fields))

    async def answer(self) -> wire.Answer:
        message = await self.receive()
        assert message.HasField("answer"), message
        return message.answer

    async def ask(self, sequence: int, **fields: Any) -> wire.Answer:
        await self.capture(sequence, **fields)
        return await self.answer()

    async def close(self) -> grpc.StatusCode:
        await self.send(close=wire.Close())
        return await self.end()

    async def end(self) -> grpc.StatusCode:
        """Read to the end of the stream."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await self.call.read() is not grpc.aio.EOF:
                pass
        return await self.call.code()

    async def details(self) -> str:
        return await self.call.details()


@pytest.fixture
async def serve(tiny_bundle: Bundle) -> AsyncIterator[Serve]:
    """A function that starts a server; keyword arguments are its settings, `bundle` another bundle than the tiny one."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, bundle: Bundle = tiny_bundle, **settings: Any) -> Server:
            server = Server(ServerSettings(**{"grpc_port": 0, "metrics_port": None, "instances": 1, **settings}), bundle)
            await server.start()
            stack.push_async_callback(server.stop, 0)
            return server

        yield start


@pytest.fixture
async def channel_to(serve: Serve) -> AsyncIterator[Callable[[Server], grpc.aio.Channel]]:
    """A function that connects to a server; channels close before the servers do."""
    async with contextlib.AsyncExitStack() as stack:

        def connect(server: Server) -> grpc.aio.Channel:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)])
            stack.push_async_callback(channel.close)
            return channel

        yield connect


@pytest.fixture
def connect(channel_to: Callable[[Server], grpc.aio.Channel], tiny_bundle: Bundle) -> Connect:
    """A function that makes a device of a server."""

    def make(server: Server, bundle: Bundle = tiny_bundle) -> Device:
        return Device(split_pb2_grpc.TailStub(channel_to(server)), bundle)

    return make


@pytest.fixture
async def device(serve: Serve, connect: Connect) -> Device:
    """An opened stream to a server of default settings."""
    made: Device = connect(await serve())
    await made.open()
    return made


@pytest.fixture
def codes() -> tuple[np.ndarray, ...]:
    """One frame of the tiny bundle: int8[4, 4, 4] in -8..7."""
    return (np.random.default_rng(0).integers(-8, 8, size=(4, 4, 4), dtype=np.int8),)


@pytest.fixture
def payload(tiny_bundle: Bundle, codes: tuple[np.ndarray, ...]) -> bytes:
    """The frame as the codec packs it."""
    return Codec(tiny_bundle.manifest.boundary, tiny_bundle.manifest.points).encode(codes)
