"""Codes of a frame as one run of small unsigned symbols, and back.

symbol = code - lowest code of its tensor, so a symbol of a b-bit tensor lies in 0 .. 2^b - 1. Tensors follow each other in the
order of the boundary, channels first; an operating point keeps the leading channels. What it leaves out comes back as code 0.
"""

from collections.abc import Sequence

import numpy as np

from isthmus.contract.boundary import Boundary, OperatingPoint
from isthmus.errors import MalformedPayload

Symbols = np.ndarray[tuple[int], np.dtype[np.uint8]]


def from_codes(codes: Sequence[np.ndarray], boundary: Boundary, point: OperatingPoint) -> Symbols:
    """Lay the codes of one frame out as symbols.

    Args:
        codes: one int8 or uint8 array for each boundary tensor, without a batch axis.
        boundary: what the arrays must fit.
        point: how many channels to keep.

    Returns:
        uint8[point_size(boundary, point)].

    Raises:
        ContractMismatch: the arrays are not those of the boundary.
    """
    boundary.check(codes)
    # Bytes that wrap around at 256: the difference is below that.
    parts = [
        (array[:channels].view(np.uint8) - np.uint8(tensor.lowest & 0xFF)).reshape(-1)
        for tensor, channels, array in zip(boundary.tensors, point.channels, codes, strict=True)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def to_codes(symbols: Symbols, boundary: Boundary, point: OperatingPoint) -> tuple[np.ndarray, ...]:
    """The codes that `symbols` stand for, with code 0 in the channels that did not cross.

    Raises:
        MalformedPayload: a symbol is too large for the bits of its tensor.
    """
    codes = []
    start = 0
    for tensor, channels in zip(boundary.tensors, point.channels, strict=True):
        size = tensor.size(channels)
        part = symbols[start : start + size]
        start += size
        if tensor.bits < 8 and int(part.max()) >= 2**tensor.bits:
            raise MalformedPayload(
                f"a symbol of {tensor.name!r} is {int(part.max())}, {tensor.bits} bits allow {2**tensor.bits - 1}"
            )
        crossed = (part + np.uint8(tensor.lowest & 0xFF)).view(tensor.dtype).reshape(channels, *tensor.shape[1:])
        if channels < tensor.channels:
            whole = np.zeros(tensor.shape, dtype=tensor.dtype)
            whole[:channels] = crossed
            crossed = whole
        codes.append(crossed)
    return tuple(codes)
