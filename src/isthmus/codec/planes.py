"""How the codec sees a boundary tensor: as planes of rows and columns, one plane for each channel.

The first axis is the channel and the last one the column; what lies between counts as rows, one after the other. So a token
sequence [c, n] is c planes of one row, and a pooled vector [c] is c planes of a single symbol.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.contract.boundary import CodeTensor

LAG = 3
"""Rows by which the second channel of a pair is behind the first: one more than a table reaches."""

Place = tuple[int, int, int]
"""Channel, row, column."""


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


def places(layout: Layout) -> Iterator[Place]:
    """All cells in the order in which they are coded: channels in pairs, the second LAG rows behind the first.

    Where both have a row to code, their columns take turns. Neither looks at the other's row, so a decoder can work on both.

    >>> [row for channel, row, _ in places(Layout(2, 4, 1, 4))]
    [0, 1, 2, 3, 0, 1, 2, 3]
    >>> list(places(Layout(2, 4, 2, 4)))[6:10]
    [(0, 3, 0), (1, 0, 0), (0, 3, 1), (1, 0, 1)]
    """
    lag = min(LAG, layout.rows)
    for first in range(0, layout.channels, 2):
        second = first + 1 if first + 1 < layout.channels else None
        for step in range(layout.rows + lag):
            for column in range(layout.columns):
                if step < layout.rows:
                    yield first, step, column
                if second is not None and step >= lag:
                    yield second, step - lag, column
