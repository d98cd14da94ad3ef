"""How the codec sees a boundary tensor: as planes of rows and columns, one plane for each channel.

The first axis is the channel and the last one the column; what lies between counts as rows, one after the other. So a token
sequence [c, n] is c planes of one row, and a pooled vector [c] is c planes of a single symbol.
"""

import math
from dataclasses import dataclass

from isthmus.contract.boundary import CodeTensor


@dataclass(frozen=True, slots=True)
class Layout:
    """Size of the planes of one tensor at one operating point."""

    channels: int
    rows: int
    columns: int
    bits: int

    @property
    def size(self) -> int:
        """Number of symbols."""
        return self.channels * self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns."""
        return self.channels, self.rows, self.columns


def layout(tensor: CodeTensor, channels: int) -> Layout:
    """The planes of the leading `channels` channels of `tensor`.

    >>> layout(CodeTensor(name="codes", shape=(12, 14, 14), bits=4), 6)
    Layout(channels=6, rows=14, columns=14, bits=4)
    >>> layout(CodeTensor(name="tokens", shape=(64, 197), bits=8), 64)
    Layout(channels=64, rows=1, columns=197, bits=8)
    >>> layout(CodeTensor(name="pooled", shape=(256,), bits=8), 256)
    Layout(channels=256, rows=1, columns=1, bits=8)
    """
    inner = tensor.shape[1:]
    return Layout(channels, math.prod(inner[:-1]), inner[-1] if inner else 1, tensor.bits)
