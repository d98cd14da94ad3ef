"""Mode `raw`: every symbol in just its bits, most significant bit first, tensors one after the other without padding between.

The last byte is filled with zero bits. The size follows from the boundary alone, so a wrong length is found at once.
"""

import numpy as np

from isthmus.codec.symbols import Symbols
from isthmus.contract.boundary import Boundary, OperatingPoint
from isthmus.errors import MalformedPayload


def body_bytes(boundary: Boundary, point: OperatingPoint) -> int:
    """Size of every raw body at `point`."""
    bits = sum(t.size(channels) * t.bits for t, channels in zip(boundary.tensors, point.channels, strict=True))
    return -(-bits // 8)


def encode(symbols: Symbols, boundary: Boundary, point: OperatingPoint) -> bytes:
    """Pack symbols (see `symbols.from_codes`) into bits."""
    parts = []
    start = 0
    for tensor, channels in zip(boundary.tensors, point.channels, strict=True):
        size = tensor.size(channels)
        bits = np.unpackbits(symbols[start : start + size, np.newaxis], axis=1)[:, 8 - tensor.bits :]
        parts.append(bits.ravel())
        start += size
    return np.packbits(np.concatenate(parts)).tobytes()


def decode(body: memoryview, boundary: Boundary, point: OperatingPoint) -> Symbols:
    """Unpack symbols from bits.

    Raises:
        MalformedPayload: the length is not that of the boundary, or the filling is not zero.
    """
    expected = body_bytes(boundary, point)
    if len(body) != expected:
        raise MalformedPayload(f"a raw body at point {point.name!r} has {expected} bytes, got {len(body)}")
    bits = np.unpackbits(np.frombuffer(body, dtype=np.uint8))
    parts = []
    start = 0
    for tensor, channels in zip(boundary.tensors, point.channels, strict=True):
        size = tensor.size(channels)
        rows = np.zeros((size, 8), dtype=np.uint8)
        rows[:, 8 - tensor.bits :] = bits[start : start + size * tensor.bits].reshape(size, tensor.bits)
        parts.append(np.packbits(rows, axis=1).ravel())
        start += size * tensor.bits
    if bits[start:].any():
        raise MalformedPayload("the bits that fill the last byte of a raw body are not zero")
    return np.concatenate(parts)
