"""What memory a server takes at each of its bounds: it is driven there by devices that mean harm, and its peak is read.

Every line is a server of its own, `isthmus serve` with the limits that are shown. Growth is the kernel's VmHWM of the process
less its resident memory once it has answered a few frames. Frames are 250 kB and answers 1 MB, so that bounds in bytes are what
counts.

    python -m benchmarks.server_memory [--json PATH]
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from benchmarks.server.material import Material, make_wide
from rich.console import Console
from rich.table import Table

from isthmus.bench import programs
from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.devices.memory import peak_resident_bytes, resident_bytes

STREAMS = 64
SESSIONS = 10_000
MEBIBYTE = 1 << 20
ENDED = (grpc.aio.AioRpcError, asyncio.InvalidStateError)
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One way to take memory.

    Attributes:
        name: for the table.
        options: of `isthmus serve`.
        bound_bytes: what the documentation says it may take at most.
        run: does it.
    """

    name: str
    options: tuple[str, ...]
    bound_bytes: int
    run: Callable[["Attacker"], Awaitable[None]]


class Attacker:
    """Devices of one bundle at one server."""

    def __init__(self, material: Material, address: str) -> None:
        manifest = material.bundle.manifest
        self._address = address
        self._digest = bytes.fromhex(manifest.contract_digest)
        self.payload = Codec(manifest.boundary, manifest.points).encode(tuple(material.codes))

    @contextlib.asynccontextmanager
    async def channel(self):
        """A connection of its own."""
        async with grpc.aio.insecure_channel(self._address, options=OPTIONS) as channel:
            yield split_pb2_grpc.TailStub(channel)

    async def open(self, stub: split_pb2_grpc.TailStub, **options: object) -> grpc.aio.StreamStreamCall:
        """An opened stream."""
        call = stub.Stream(**options)
        await call.write(wire.ToTail(open=wire.Open(contract_digest=self._digest, modes=[wire.MODE_ZSTD])))
        await call.read()
        return call

    async def send(self, call: grpc.aio.StreamStreamCall, sequence: int, **content: object) -> None:
        """One capture, of codes unless told otherwise."""
        content = content or {"codes": self.payload}
        await call.write(wire.ToTail(capture=wire.Capture(sequence=sequence, **content)))

    async def warm_up(self) -> None:
        """A few frames, so that what every server needs is there."""
        async with self.channel() as stub:
            call = await self.open(stub)
            for sequence in range(1, 21):
                await self.send(call, sequence)
                await call.read()
            call.cancel()


async def open_sessions(attacker: Attacker) -> None:
    """Sessions with one frame each, which is decoded and, being late, not computed; ten devices at a time."""

    async def come_and_go(count: int) -> None:
        async with attacker.channel() as stub:
            for _ in range(count):
                call = await attacker.open(stub)
                await attacker.send(call, 1, codes=attacker.payload, deadline_us=0)
                await call.read()
                call.cancel()

    await asyncio.gather(*(come_and_go(SESSIONS // 10) for _ in range(10)))


async def flood_queue(attacker: Attacker) -> None:
    """Every stream keeps its window full for a while and reads its answers."""

    async def stream() -> None:
        async with attacker.channel() as stub:
            call = await attacker.open(stub)
            sent, answered, allowed = 0, 0, 3
            while answered < 25:
                while sent < allowed:
                    sent += 1
                    await attacker.send(call, sent)
                message = await call.read()
                answered += message.HasField("answer")
                allowed = max(allowed, message.answer.allowed, message.credit.allowed)
            call.cancel()

    await asyncio.gather(*(stream() for _ in range(STREAMS)))


async def read_nothing(attacker: Attacker) -> None:
    """Every stream sends its window and reads no answer."""
    async with contextlib.AsyncExitStack() as stack:
        calls = []
        for _ in range(STREAMS):
            call = await attacker.open(await stack.enter_async_context(attacker.channel()))
            for sequence in (1, 2, 3):
                await attacker.send(call, sequence)
            calls.append(call)
        await asyncio.sleep(5)
        for call in calls:
            call.cancel()


async def send_large(attacker: Attacker) -> None:
    """Every stream sends the largest message at the same moment, again and again; the bundle takes no pictures."""
    picture = wire.Picture(format="jpeg", data=bytes(7 * MEBIBYTE))

    async def stream() -> None:
        async with attacker.channel() as stub:
            call = await attacker.open(stub)
            for sequence in range(1, 6):
                await attacker.send(call, sequence, picture=picture)
                await call.read()
            call.cancel()

    await asyncio.gather(*(stream() for _ in range(STREAMS)))


async def send_bombs(attacker: Attacker) -> None:
    """Messages of 64 MiB of zeros, gzipped to 64 kB."""
    async with attacker.channel() as stub:
        for _ in range(16):
            call = await attacker.open(stub, compression=grpc.Compression.Gzip)
            with contextlib.suppress(*ENDED):
                await attacker.send(call, 1, codes=bytes(64 * MEBIBYTE))
                await call.read()
            call.cancel()


def attacks(material: Material) -> list[Attack]:
    """All of them, with small limits where those that a server has would only take longer to fill."""
    answer = material.expected.nbytes
    streams = ("--streams-max", str(STREAMS))
    sessions = 1024 * 2000
    return [
        Attack(
            name=f"{SESSIONS:,} sessions with a frame each",
            options=(*streams, "--session-memory", "64MiB"),
            bound_bytes=64 * MEBIBYTE + sessions + 10 * 4 * material.codes.nbytes,
            run=open_sessions,
        ),
        Attack(
            name=f"{STREAMS} streams that fill the queue",
            options=(*streams, "--queue-max", "1000", "--queue-memory", "8MiB", "--session-memory", "8MiB"),
            bound_bytes=16 * MEBIBYTE + STREAMS * 3 * answer,
            run=flood_queue,
        ),
        Attack(
            name=f"{STREAMS} streams that read no answer",
            options=(*streams, "--queue-memory", "64MiB", "--session-memory", "8MiB"),
            bound_bytes=72 * MEBIBYTE + STREAMS * 3 * answer,
            run=read_nothing,
        ),
        Attack(
            name=f"{STREAMS} messages of 7 MiB at once, five times",
            options=streams,
            bound_bytes=STREAMS * 2 * 8 * MEBIBYTE,
            run=send_large,
        ),
        Attack(name="16 gzip bombs of 64 MiB", options=streams, bound_bytes=2 * 8 * MEBIBYTE, run=send_bombs),
    ]


def measure(attack: Attack, material: Material) -> dict[str, object]:
    """Run one attack against a fresh server."""
    with programs.server(material.bundle.folder, extra=attack.options) as server:
        attacker = Attacker(material, server.match["grpc"])
        asyncio.run(attacker.warm_up())
        before = resident_bytes(server.pid)
        asyncio.run(attack.run(attacker))
        grown = peak_resident_bytes(server.pid) - before
        asyncio.run(attacker.warm_up())
        return {
            "attack": attack.name,
            "options": " ".join(attack.options),
            "before_mib": round(before / MEBIBYTE),
            "bound_mib": round(attack.bound_bytes / MEBIBYTE),
            "peak_grown_mib": round(grown / MEBIBYTE),
            "after_grown_mib": round((resident_bytes(server.pid) - before) / MEBIBYTE),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        material = make_wide(Path(folder) / "wide")
        rows = [measure(attack, material) for attack in attacks(material)]
    if options.json:
        text = json.dumps({"meta": {"benchmark": "server_memory"}, "rows": rows}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
    table = Table("attack", "options", "before MiB", "bound MiB", "peak growth MiB", "growth after MiB")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
