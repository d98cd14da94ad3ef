"""What a polite client notices of one that asks ten times what it may.

Both prove who they are by tokens and have the same limit. The polite one is a device with a capture now and then; the flood is a
process of its own. Its turns alternate with turns of quiet, so that both see the same machine.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.server import flooding
from benchmarks.server.clients import Device
from benchmarks.server.contenders import encoded, inference_request
from benchmarks.server.material import Material
from benchmarks.server.throughput import Say

from isthmus.bench import programs
from isthmus.codec.payload import Mode

LIMIT = 50
"""Captures and calls of a client per second."""
TIMES = 10
"""How much more the flood asks."""
POLITE = 40.0
"""Captures of the polite client per second."""
_SETTLE = 10
"""Captures at the start of a turn that are not counted."""


@dataclass(slots=True, kw_only=True)
class Flood:
    """What was measured: latencies of the polite client in seconds, and what became of the flood's calls."""

    alone_s: list[float] = field(default_factory=list)
    beside_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    answered: int = 0
    refused: int = 0
    failed: int = 0


async def measure(tail: Material, work: Path, say: Say, *, rounds: int = 4, seconds: float = 4.0) -> Flood:
    """Turns without and with the flood, `rounds` of each."""
    say("a flood beside a polite client")
    polite, greedy = _tokens(work)
    found = Flood()
    extra = ("--tokens", str(work / "tokens.jsonl"), "--client-rate", f"{LIMIT}/s")
    with programs.server(tail.bundle.folder, extra=extra) as server:
        address = server.match["grpc"]
        device = Device(
            address,
            bytes.fromhex(tail.bundle.digest),
            [int(Mode.ZSTD)],
            encoded(tail, Mode.ZSTD),
            token=polite.read_text(encoding="ascii").strip(),
        )
        await device.open()
        (work / "request").write_bytes(inference_request(tail, tail.bundle.manifest.id))
        for _ in range(rounds):
            found.alone_s += await _ask(device, seconds)
            with _flooding(address, greedy, work / "request", found):
                found.beside_s += await _ask(device, seconds)
        await device.close()
    return found


def _tokens(work: Path) -> tuple[Path, Path]:
    """Files of two tokens, made by the command that an operator uses."""
    (work / "tokens.jsonl").unlink(missing_ok=True)
    paths = []
    for name, scope in (("polite", "stream"), ("flood", "infer")):
        paths.append(work / f"{name}.token")
        paths[-1].unlink(missing_ok=True)
        command = ["tokens", "new", str(work / "tokens.jsonl"), name, "--scopes", scope, "-o", str(paths[-1])]
        subprocess.run([sys.executable, "-m", "isthmus", *command], check=True, capture_output=True)
    return paths[0], paths[1]


async def _ask(device: Device, seconds: float) -> list[float]:
    """Captures at even intervals."""
    begun = time.perf_counter()
    latencies = []
    for number in range(int(seconds * POLITE)):
        due = begun + number / POLITE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        # From here and not from when it was due: this process's timer is no matter of the server's.
        asked = time.perf_counter()
        await device.send()
        await device.answer()
        latencies.append(time.perf_counter() - asked)
    return latencies[_SETTLE:]


@contextlib.contextmanager
def _flooding(address: str, token: Path, request: Path, found: Flood) -> Iterator[None]:
    command = [sys.executable, flooding.__file__, address, str(token), str(LIMIT * TIMES), str(request)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield
        finally:
            process.stdin.close()
        told = json.loads(process.stdout.readline())
    found.seconds += told["seconds"]
    found.answered += told["answered"]
    found.refused += told["refused"]
    found.failed += told["failed"]


def told() -> str:
    """What happens here, for the page."""
    calls = f"{LIMIT * TIMES} `ModelInfer` calls a second, {TIMES} times what `--client-rate {LIMIT}/s` allows"
    return (
        f"A device sends {POLITE:.0f} captures a second, one at a time; beside it another client, known by its token, makes "
        f"{calls}. The flood is made on the same machine: what it costs to make it is in the figures."
    )


def percentiles_ms(latencies_s: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, and of how many."""
    p50, p95 = np.percentile(np.array(latencies_s) * 1e3, [50, 95])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3), "captures": len(latencies_s)}
