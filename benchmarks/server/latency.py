"""What the protocol adds to a bare TCP socket: round trips of payloads of several sizes, one at a time.

The tail of these bundles does nothing; the time that onnxruntime needs for that nothing is in every answer and is taken off.
Requests and answers over the bare socket have as many bytes as the messages of the protocol.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import grpc
import numpy as np
from benchmarks.server import echo, material
from benchmarks.server.certificate import HOST, Certificate, make
from benchmarks.server.contenders import encoded
from benchmarks.server.material import Material

from isthmus.bench import programs
from isthmus.codec.payload import Mode
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import IsthmusError
from isthmus.head.stream import Stream, greeting

SIZES = (1_000, 10_000, 100_000, 1_000_000)
TCP, TCP_TLS, PLAIN, TLS, DEVICE = "TCP", "TCP with TLS", "Isthmus", "Isthmus with TLS", "Isthmus, device client"
_WARM_UP = 20
_MESSAGE_BYTES_MAX = 8 << 20
Say = Callable[[str], None]


class Ping(NamedTuple):
    """One round trip in seconds, and how much of it the server spent on decoding and computing."""

    trip_s: float
    decode_s: float = 0.0
    compute_s: float = 0.0


Pinger = Callable[[], Awaitable[Ping]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes of one request and one answer on the bare socket."""

    request: int
    answer: int


@dataclass(slots=True, kw_only=True)
class Latency:
    """What was measured: pings by subject and payload size, and what could not be measured and why."""

    pings: dict[tuple[str, int], list[Ping]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


async def measure(work: Path, say: Say, *, sizes: Sequence[int] = SIZES, rounds: int = 6, pings: int = 100) -> Latency:
    """All subjects in turns, `rounds` times `pings` round trips each."""
    found = Latency()
    certificate = make(work)
    for size in sizes:
        say(f"latency with {size:,} bytes")
        served = material.make_echo(work / f"echo-{size}", size)
        async with contextlib.AsyncExitStack() as stack:
            pingers = await _open(served, certificate, stack, found)
            for pinger in pingers.values():
                for _ in range(_WARM_UP):
                    await pinger()
            for number in range(rounds):
                names = list(pingers)
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    found.pings.setdefault((name, size), []).extend([await pingers[name]() for _ in range(pings)])
    return found


async def _open(
    served: Material, certificate: Certificate, stack: contextlib.AsyncExitStack, found: Latency
) -> dict[str, Pinger]:
    """A pinger for each subject; the protocol first, for it tells how many bytes go over the bare socket."""
    pingers = {}
    sizes = Sizes(request=served.codes.size, answer=4 * material.ECHO_OUTPUTS)
    for name, secure in ((PLAIN, None), (TLS, certificate)):
        if name in found.failures:
            continue
        try:
            pingers[name], sizes = await stack.enter_async_context(_isthmus(served, secure))
        except (IsthmusError, grpc.RpcError) as error:
            found.failures[name] = str(error)
    pingers[DEVICE] = stack.enter_context(_device(served))
    for name, secure in ((TCP, None), (TCP_TLS, certificate)):
        pingers[name] = stack.enter_context(_tcp(sizes, secure))
    return pingers


@contextlib.contextmanager
def _tcp(sizes: Sizes, certificate: Certificate | None) -> Iterator[Pinger]:
    arguments = [echo.__file__, *(certificate.arguments if certificate else ())]
    with programs.Program(arguments, ready=r"^ready (?P<host>\S+):(?P<port>\d+)", name="the echo") as program:
        connection = socket.create_connection((program.match["host"], int(program.match["port"])))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if certificate:
            context = ssl.create_default_context(cafile=certificate.certificate)
            connection = context.wrap_socket(connection, server_hostname=HOST)
        request = echo.HEAD.pack(sizes.request - echo.HEAD.size, sizes.answer) + bytes(sizes.request - echo.HEAD.size)
        answer = memoryview(bytearray(sizes.answer))

        async def ping() -> Ping:
            begun = time.perf_counter()
            connection.sendall(request)
            echo.receive(connection, answer)
            return Ping(time.perf_counter() - begun)

        with connection:
            yield ping


@contextlib.asynccontextmanager
async def _isthmus(served: Material, certificate: Certificate | None) -> AsyncIterator[tuple[Pinger, Sizes]]:
    """Over one stream of grpc.aio: of Python's clients the one that adds least of its own."""
    payload = encoded(served, Mode.RAW)
    with programs.server(served.bundle.folder, extra=certificate.arguments if certificate else ()) as server:
        async with _channel(server.match["grpc"], certificate) as channel:
            call = split_pb2_grpc.TailStub(channel).Stream()
            await call.write(
                wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(served.bundle.digest), modes=[wire.MODE_RAW]))
            )
            await call.read()
            sequence = 0
            last = wire.FromTail()

            async def ping() -> Ping:
                nonlocal sequence, last
                sequence += 1
                begun = time.perf_counter()
                await call.write(wire.ToTail(capture=wire.Capture(sequence=sequence, codes=payload)))
                last = await call.read()
                trip_s = time.perf_counter() - begun
                return Ping(trip_s, last.answer.times.decode_us / 1e6, last.answer.times.compute_us / 1e6)

            await ping()
            _check(last.answer, served)
            request = wire.ToTail(capture=wire.Capture(sequence=sequence, codes=payload))
            yield ping, Sizes(request=request.ByteSize(), answer=last.ByteSize())


@contextlib.contextmanager
def _device(served: Material) -> Iterator[Pinger]:
    """As a device asks: with `isthmus.head`, its threads and futures."""
    payload = encoded(served, Mode.RAW)
    with programs.server(served.bundle.folder) as server:
        manifest = served.bundle.manifest
        hello = greeting(manifest.id, served.bundle.digest, (Mode.RAW,), "benchmark", b"")
        stream = Stream(server.match["grpc"], hello, connect_timeout_s=5.0, on_change=lambda: None)
        sequence = 0

        async def ping() -> Ping:
            nonlocal sequence
            sequence += 1
            begun = time.perf_counter()
            reply = stream.send(wire.Capture(sequence=sequence, codes=payload)).result()
            return Ping(time.perf_counter() - begun, reply.server_s["decode"], reply.server_s["compute"])

        try:
            yield ping
        finally:
            stream.close()


def _channel(address: str, certificate: Certificate | None) -> grpc.aio.Channel:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX)]
    if certificate is None:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(certificate.certificate.read_bytes())
    return grpc.aio.secure_channel(f"{HOST}:{address.rpartition(':')[2]}", credentials, options=options)


def _check(answer: wire.Answer, served: Material) -> None:
    if answer.status != wire.STATUS_OK:
        raise RuntimeError(f"answered {wire.Status.Name(answer.status)}: {answer.message}")
    found = np.frombuffer(answer.outputs[0].data, np.float32)
    if not np.array_equal(found, served.expected.ravel()):
        raise RuntimeError(f"answered {found[:4]}..., the bare loop {served.expected.ravel()[:4]}...")
