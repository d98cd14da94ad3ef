"""Who asks: one class for each protocol, all in closed loop, all on one event loop with bytes made beforehand.

A client keeps as many requests in flight as it was opened with; the next one leaves when an answer comes.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

import grpc
import numpy as np

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc

OF_ONE_DEVICE = 2
"""Captures that a device has in flight here, of the three that a server allows: its usual state on a good link."""
Ask = Callable[[], Awaitable[object]]
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class Client(ABC):
    """Requests to one server."""

    async def __aenter__(self) -> Self:
        return self

    @abstractmethod
    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""

    @abstractmethod
    async def first(self) -> np.ndarray:
        """One request: the scores as float32[class]."""

    @abstractmethod
    async def drive(self, seconds: float) -> list[float]:
        """Keep the load up for so long; the latencies in seconds of all that was answered."""


class Device:
    """One stream of `isthmus.v1.Tail`, several captures in flight."""

    def __init__(self, address: str, digest: bytes, modes: Sequence[int], payload: bytes, *, token: str = "") -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        metadata = (("authorization", f"Bearer {token}"),) if token else None
        self._call = split_pb2_grpc.TailStub(self._channel).Stream(metadata=metadata)
        self._open = wire.Open(contract_digest=digest, modes=[wire.Mode.Name(mode) for mode in modes])
        self._payload = payload
        self._sent = 0

    async def open(self) -> None:
        """Greet, and wait for the welcome."""
        await self._call.write(wire.ToTail(open=self._open))
        reply = await self._call.read()
        if reply is grpc.aio.EOF or reply.WhichOneof("message") != "opened":
            raise RuntimeError(f"the stream was not opened: {reply or await self._call.details()}")

    async def close(self) -> None:
        """End the stream by closing its connection."""
        await self._channel.close()

    async def send(self) -> int:
        """Send the next capture; returns its sequence number."""
        self._sent += 1
        await self._call.write(wire.ToTail(capture=wire.Capture(sequence=self._sent, codes=self._payload)))
        return self._sent

    async def answer(self) -> wire.Answer:
        """The next answer; raises when it is none with outputs."""
        reply = await self._call.read()
        if reply is grpc.aio.EOF:
            raise RuntimeError(f"the server ended the stream: {await self._call.details()}")
        answer: wire.Answer = reply.answer
        if answer.status != wire.STATUS_OK:
            raise RuntimeError(f"answered {wire.Status.Name(answer.status)}: {answer.message}")
        return answer

    async def drive(self, in_flight: int, seconds: float) -> list[float]:
        """As `Client.drive`, on this stream."""
        end = time.perf_counter() + seconds
        sent_at = {}
        for _ in range(in_flight):
            sent_at[await self.send()] = time.perf_counter()
        latencies = []
        while sent_at:
            answer = await self.answer()
            now = time.perf_counter()
            latencies.append(now - sent_at.pop(answer.sequence))
            if now < end:
                sent_at[await self.send()] = time.perf_counter()
        return latencies


class Devices(Client):
    """As many devices as it takes for so many captures in flight."""

    def __init__(self, address: str, in_flight: int, *, digest: bytes, modes: Sequence[int], payload: bytes) -> None:
        self._per_device = min(in_flight, OF_ONE_DEVICE)
        self._devices = [Device(address, digest, modes, payload) for _ in range(in_flight // self._per_device)]

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(device.open() for device in self._devices))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(device.close() for device in self._devices))

    async def first(self) -> np.ndarray:
        """One request."""
        await self._devices[0].send()
        return np.frombuffer((await self._devices[0].answer()).outputs[0].data, np.float32)

    async def drive(self, seconds: float) -> list[float]:
        """All in flight at once."""
        found = await asyncio.gather(*(device.drive(self._per_device, seconds) for device in self._devices))
        return [latency for device in found for latency in device]


class GrpcCalls(Client):
    """Unary calls on one channel, with a message that is serialised already."""

    def __init__(self, address: str, in_flight: int, *, method: str, message: bytes, outputs: int) -> None:
        self._in_flight = in_flight
        self._message = message
        self._outputs = outputs
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._call = self._channel.unary_unary(method)

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def first(self) -> np.ndarray:
        """One request."""
        return last_floats(await self._call(self._message), self._outputs)

    async def drive(self, seconds: float) -> list[float]:
        """All in flight at once."""
        return await _closed_loops(self._in_flight, seconds, lambda: self._ask)

    async def _ask(self) -> None:
        await self._call(self._message)


class HttpPosts(Client):
    """POST requests on connections that are kept open, one for each request in flight."""

    def __init__(self, address: str, in_flight: int, *, path: str, content_type: str, body: bytes, outputs: int) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._in_flight = in_flight
        self._outputs = outputs
        head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        for _ in range(self._in_flight):
            self._connections.append(await asyncio.open_connection(self._host, int(self._port)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection[1].close()

    async def first(self) -> np.ndarray:
        """One request."""
        return last_floats(await self._post(*self._connections[0]), self._outputs)

    async def drive(self, seconds: float) -> list[float]:
        """All in flight at once."""
        free = iter(self._connections)

        def take() -> Ask:
            connection = next(free)
            return lambda: self._post(*connection)

        return await _closed_loops(self._in_flight, seconds, take)

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        status = head.split(b"\r\n", 1)[0]
        if b" 200 " not in status:
            raise RuntimeError(f"answered {status.decode()}: {body[:200]!r}")
        return body


async def _closed_loops(in_flight: int, seconds: float, asker: Callable[[], Ask]) -> list[float]:
    """So many loops at once; `asker` gives each its own function to ask with."""
    end = time.perf_counter() + seconds
    latencies = []

    async def loop(ask: Ask) -> None:
        now = time.perf_counter()
        while now < end:
            await ask()
            done = time.perf_counter()
            latencies.append(done - now)
            now = done

    await asyncio.gather(*(loop(asker()) for _ in range(in_flight)))
    return latencies


def last_floats(message: bytes, count: int) -> np.ndarray:
    """The float32 values that a message ends with: raw outputs are the last field of every protocol here."""
    return np.frombuffer(message[-4 * count :], np.float32)
