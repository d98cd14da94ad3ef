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
    parts = [
        (array[:channels].astype(np.int16) - tensor.lowest).astype(np.uint8).ravel()
        for tensor, channels, array in zip(boundary.tensors, point.channels, codes, strict=True)
    ]
    return np.concatenate(parts)


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
        whole = np.zeros(tensor.shape, dtype=tensor.dtype)
        whole[:channels] = (part.astype(np.int16) + tensor.lowest).astype(tensor.dtype).reshape(channels, *tensor.shape[1:])
        codes.append(whole)
    return tuple(codes)
