"""Tables and frames to test with."""

from collections.abc import Callable

import numpy as np
import pytest

from isthmus.codec.histogram import normalise
from isthmus.codec.planes import Layout
from isthmus.codec.table import (
    ERROR_TAPS_MAX,
    ERROR_WEIGHT_MAX,
    FRACTIONS,
    LEVELS,
    VALUE_TAPS_MAX,
    ChannelModel,
    Sum,
    Table,
    Tap,
)

MakeTable = Callable[..., Table]


class _Drawn:
    """Draws the parts of a table: anything that a reader accepts, sensible or not."""

    def __init__(self, seed: int, *, temporal: bool) -> None:
        self.random = np.random.default_rng(seed)
        self.temporal = temporal
        self.wild = self.random.random() < 0.3

    def whole(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def sum(self, own: int, *, first: bool, error: bool) -> Sum:
        most = ERROR_TAPS_MAX if error else VALUE_TAPS_MAX
        taps = [self.tap(own, first=first, error=error) for _ in range(self.whole(0, most if self.wild else 6))]
        offset = self.whole(-32768, 32767) if self.wild else self.whole(-100, 300)
        return Sum(offset, tuple(tap for tap in taps if tap))

    def tap(self, own: int, *, first: bool, error: bool) -> Tap | None:
        plane, channel = self.whole(0, int(self.temporal)), self.whole(0, own)
        row, column = self.whole(-2, 2), self.whole(-2, 2)
        growing = channel == own and (error or plane == 0)
        if growing and not ((row < 0 and not first) or (row == 0 and column < 0)):
            return None
        most = ERROR_WEIGHT_MAX if error else 32767
        return Tap(
            plane, channel, row, column, self.whole(-most, most) if self.wild else self.whole(-300, 2000 if error else 3000)
        )

    def channel(self, own: int, bits: int) -> ChannelModel:
        sums = (self.sum(own, first=first, error=error) for error in (False, True) for first in (True, False))
        return ChannelModel(self.whole(0, (1 << bits) - 1), *sums)

    def frequencies(self, contexts: int, bits: int) -> np.ndarray:
        weights = self.random.random((contexts, 1 << bits)) ** self.random.choice([1, 8, 60])
        return np.stack([normalise(row) for row in weights])


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """A function that draws a valid table for a layout from a seed; its numbers reach the ends of what is allowed."""

    def make(seed: int, layout: Layout, *, temporal: bool = False) -> Table:
        drawn = _Drawn(seed, temporal=temporal)
        fractions = FRACTIONS[drawn.whole(0, 3 if layout.bits < 6 else 0)]
        alphabet_bits = drawn.whole(1, layout.bits)
        return Table(
            bits=layout.bits,
            alphabet_bits=alphabet_bits,
            fractions=fractions,
            temporal=temporal,
            channels=tuple(drawn.channel(own, layout.bits) for own in range(layout.channels)),
            thresholds=tuple(sorted(drawn.whole(0, 8192 if drawn.wild else 300) for _ in range(LEVELS - 1))),
            frequencies=drawn.frequencies(LEVELS * fractions, alphabet_bits),
        )

    return make
