"""What coding takes: microseconds of coder, codec and rivals side by side, the cost of a call, and memory.

All that is compared is timed in turns, one call each, and the medians stand: a shared machine slows everything down alike.
Beside a median stands the least: a machine is never faster than it is.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import zstandard
from benchmarks.codec.material import Material
from benchmarks.codec.rivals import optional

from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.codec.planes import Layout, layout
from isthmus.codec.predictive import TensorCoding, coder
from isthmus.codec.symbols import from_codes
from isthmus.codec.table import Table
from isthmus.codec.tables import CodecTables

ROUNDS = 300
TEN_THOUSAND = 10_000
"""Codes that the target of 150 us is for."""


def in_turns(calls: dict[str, Callable[[], object]]) -> dict[str, dict[str, float]]:
    """Median and least microseconds of each call."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - started)
    return {name: {"median": float(np.median(taken)) * 1e6, "least": min(taken) * 1e6} for name, taken in spent.items()}


def frames(material: Material, intra: Table, temporal: Table | None) -> dict[str, Any]:
    """Times of one frame: of the coder alone, of the whole way from codes to payload, and of zstd and brotli beside it."""
    point = material.points[0]
    film = next(iter(material.films.values()), material.test)
    now, before = film[1], film[0]
    tables = {(0, Mode.INTRA): (intra,)} | ({(0, Mode.TEMPORAL): (temporal,)} if temporal else {})
    flat, flat_before = (from_codes([codes], material.boundary, point) for codes in (now, before))
    calls: dict[str, Callable[[], object]] = {}
    for mode in (Mode.INTRA, Mode.TEMPORAL) if temporal else (Mode.INTRA,):
        codec = Codec(material.boundary, material.points, [mode], tables=CodecTables(tables))
        calls |= _mode_calls(
            mode.name.lower(),
            codec,
            tables[0, mode][0],
            layout(material.tensor, point.channels[0]),
            (flat, flat_before),
            (now, before),
        )
    # The rivals apart: a slow one between two calls would empty the caches.
    return {"codes": int(flat.size), "us": in_turns(calls) | in_turns(_rivals(flat.tobytes()))}


def _rivals(data: bytes) -> dict[str, Callable[[], object]]:
    calls: dict[str, Callable[[], object]] = {}
    for level in (3, 19):
        compressor = zstandard.ZstdCompressor(level=level)
        calls[f"zstd {level} encode"] = _bound(compressor.compress, data)
        calls[f"zstd {level} decode"] = _bound(zstandard.ZstdDecompressor().decompress, compressor.compress(data))
    if brotli := optional("brotli"):
        calls["brotli 11 encode"] = _bound(brotli.compress, data)
        calls["brotli 11 decode"] = _bound(brotli.decompress, brotli.compress(data))
    return calls


def _mode_calls(
    name: str,
    codec: Codec,
    table: Table,
    plane: Layout,
    flat: tuple[np.ndarray, np.ndarray],
    codes: tuple[np.ndarray, np.ndarray],
) -> dict[str, Callable[[], object]]:
    made = coder([TensorCoding(plane, table)])
    now, before = codes
    reference = [before] if table.temporal else None
    body = memoryview(made.encode(*flat))
    data = codec.encode([now], reference=reference)
    return {
        f"{name} encode": lambda: made.encode(*flat),
        f"{name} decode": lambda: made.decode(body, flat[1]),
        f"{name} codes to payload": lambda: codec.encode([now], reference=reference),
        f"{name} payload to codes": lambda: codec.decode(data, reference=reference),
    }


def _bound(call: Callable[[bytes], object], data: bytes) -> Callable[[], object]:
    return lambda: call(data)


def binding(table: Table) -> dict[str, dict[str, float]]:
    """Encoding and decoding a single symbol: what a call costs before there is work."""
    alone = Table(
        bits=table.bits,
        alphabet_bits=table.alphabet_bits,
        fractions=table.fractions,
        temporal=False,
        channels=table.channels[:1],
        thresholds=table.thresholds,
        frequencies=table.frequencies,
    )
    made = coder([TensorCoding(Layout(1, 1, 1, table.bits), alone)])
    symbol = np.zeros(1, np.uint8)
    body = memoryview(made.encode(symbol, None))
    return in_turns({"encode": lambda: made.encode(symbol, None), "decode": lambda: made.decode(body, None)})


_MEMORY = """
import sys
import numpy as np
from isthmus.codec.planes import Layout
from isthmus.codec.predictive import TensorCoding, coder
from isthmus.codec.table import read
channels, rows, columns, bits, rounds = map(int, sys.argv[1:])
words = np.frombuffer(sys.stdin.buffer.read(), np.int16)
def peak():
    # Not getrusage's: that of a child starts with the peak of the process that started it.
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
made = coder([TensorCoding(Layout(channels, rows, columns, bits), read(words))])
symbols = np.zeros(channels * rows * columns, np.uint8)
for _ in range(rounds):
    body = made.encode(symbols, None)
    made.decode(memoryview(body), None)
print(peak() - before)
"""


def memory_kib(material: Material, table: Table, rounds: int) -> int:
    """By how many KiB a process grows at its peak that makes a coder and codes `rounds` frames both ways."""
    command = [sys.executable, "-c", _MEMORY, *map(str, (*material.tensor.shape, material.tensor.bits, rounds))]
    ran = subprocess.run(command, input=table.words().tobytes(), capture_output=True, check=True)
    return int(ran.stdout)
