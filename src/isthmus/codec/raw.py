"""Mode `raw`: every symbol in just its bits, most significant bit first, tensors one after the other without padding between.

The last byte is filled with zero bits. The size follows from the boundary alone, so a wrong length is found at once.
`specified_pack` and `specified_unpack` are the specification, in numpy; the C core does the same without
the detour over arrays of single bits.
"""

import numpy as np

from isthmus.codec.symbols import Symbols
from isthmus.contract.boundary import Boundary, OperatingPoint
from isthmus.errors import MalformedPayload

Runs = tuple[tuple[int, int], ...]
"""Number of symbols, and bits of each, by tensor."""


def specified_pack(symbols: Symbols, runs: Runs) -> bytes:
    """Symbols to bits."""
    parts = []
    start = 0
    for size, bits in runs:
        parts.append(np.unpackbits(symbols[start : start + size, np.newaxis], axis=1)[:, 8 - bits :].ravel())
        start += size
    return np.packbits(np.concatenate(parts)).tobytes()


def specified_unpack(packed: memoryview, runs: Runs) -> bytes:
    """The way back.

    Raises:
        ValueError: the filling is not zero.
    """
    every = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))
    parts = []
    start = 0
    for size, bits in runs:
        rows = np.zeros((size, 8), dtype=np.uint8)
        rows[:, 8 - bits :] = every[start : start + size * bits].reshape(size, bits)
        parts.append(np.packbits(rows, axis=1).ravel())
        start += size * bits
    if every[start:].any():
        raise ValueError("the bits that fill the last byte are not zero")
    return np.concatenate(parts).tobytes()


try:
    from isthmus.codec import _native
except ImportError:
    _pack, _unpack = specified_pack, specified_unpack
else:

    def _pack(symbols: Symbols, runs: Runs) -> bytes:
        return _native.pack(symbols.data, runs)

    def _unpack(packed: memoryview, runs: Runs) -> bytes:
        return _native.unpack(packed, runs)


def body_bytes(boundary: Boundary, point: OperatingPoint) -> int:
    """Size of every raw body at `point`."""
    return -(-sum(size * bits for size, bits in _runs(boundary, point)) // 8)


def encode(symbols: Symbols, boundary: Boundary, point: OperatingPoint) -> bytes:
    """Pack symbols (see `symbols.from_codes`) into bits."""
    return _pack(symbols, _runs(boundary, point))


def decode(body: memoryview, boundary: Boundary, point: OperatingPoint) -> Symbols:
    """Unpack symbols from bits.

    Raises:
        MalformedPayload: the length is not that of the boundary, or the filling is not zero.
    """
    expected = body_bytes(boundary, point)
    if len(body) != expected:
        raise MalformedPayload(f"a raw body at point {point.name!r} has {expected} bytes, got {len(body)}")
    try:
        return np.frombuffer(_unpack(body, _runs(boundary, point)), dtype=np.uint8)
    except ValueError as error:
        raise MalformedPayload(f"a raw body at point {point.name!r} is damaged: {error}") from error


def _runs(boundary: Boundary, point: OperatingPoint) -> Runs:
    return tuple((t.size(channels), t.bits) for t, channels in zip(boundary.tensors, point.channels, strict=True))
