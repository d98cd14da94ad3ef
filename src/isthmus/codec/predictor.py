"""The specification of the prediction, code by code, in plain Python; the C core does the same, faster.

For every symbol, in the order of `planes.places`, the predictor gives a value and a context from what came before. Numbers:
a value is a symbol times 4096, an error a symbol times 64, an expected error a symbol times 16384. Everything is an integer, no
sum of a checked table leaves 32 bits, and only numbers that are not negative are shifted, so every machine computes the same.

Neighbours beyond the edge of a plane are its nearest cell. Left of the row in work stands the first symbol of the row above,
and left of the first row the channel's `start` (for errors and changes: 0).
"""

from dataclasses import dataclass

import numpy as np

from isthmus.codec.planes import Layout, Place
from isthmus.codec.table import CHANGE, ERROR, NOW, REFERENCE, THRESHOLD_MAX, Sum, Table

ONE_BITS = 12
"""A step of one code, in values: 1 << 12."""
ERROR_SHIFT = 6
VALUE_OFFSET_UNIT = 64
"""Offsets of value sums are stored in 1/64 code."""
EXPECTED_SHIFT = 7
"""Thresholds and offsets of error sums are in 1/128 code, error sums in 1/16384."""
CHANGE_UNIT = 64


@dataclass(frozen=True, slots=True)
class Guess:
    """What is known of a symbol before it is seen.

    Attributes:
        context: row of `Table.frequencies`.
        nearest: symbol next to the predicted value.
        sign: -1 where the value lies below `nearest`, else 1; so that misses towards the value are always coded as positive.
        value: predicted symbol times 4096.
    """

    context: int
    nearest: int
    sign: int
    value: int


class Predictor:
    """Goes through one tensor: `guess` and `learn` in turns, in the order of `planes.places`.

    Args:
        table: a checked table.
        layout: the tensor's planes.
        reference: uint8[channel, row, column] of an earlier frame; None unless the table is temporal.
    """

    def __init__(self, table: Table, layout: Layout, reference: np.ndarray | None = None) -> None:
        self._table = table
        self._layout = layout
        blank = np.zeros(layout.shape, dtype=np.int64)
        self._reference = blank if reference is None else reference.astype(np.int64)
        self._now, self._errors, self._changes = blank.copy(), blank.copy(), blank.copy()
        self._value_planes = {NOW: self._now, REFERENCE: self._reference}
        self._error_planes = {ERROR: self._errors, CHANGE: self._changes}

    def guess(self, place: Place) -> Guess:
        """Predict the symbol at `place`."""
        channel, row, column = place
        table, model = self._table, self._table.channels[channel]
        value_sum, error_sum = (model.value, model.error) if row else (model.first_value, model.first_error)
        value = VALUE_OFFSET_UNIT * value_sum.offset + self._add(value_sum, channel, row, column, error=False)
        value = min(max(value, 0), ((1 << table.bits) - 1) << ONE_BITS)
        nearest = (value + (1 << ONE_BITS - 1)) >> ONE_BITS
        distance = value - (nearest << ONE_BITS)
        away = distance if distance >= 0 else -1 - distance
        fraction = away * table.fractions >> ONE_BITS - 1
        expected = (error_sum.offset << EXPECTED_SHIFT) + self._add(error_sum, channel, row, column, error=True)
        expected = min(max(expected, 0) >> EXPECTED_SHIFT, THRESHOLD_MAX - 1)
        level = sum(threshold <= expected for threshold in table.thresholds)
        return Guess(level * table.fractions + fraction, nearest, -1 if distance < 0 else 1, value)

    def learn(self, place: Place, symbol: int, guess: Guess) -> None:
        """Take note of the symbol that `guess` was made for."""
        self._now[place] = symbol
        self._errors[place] = abs((symbol << ONE_BITS) - guess.value) >> ERROR_SHIFT
        self._changes[place] = abs(symbol - int(self._reference[place])) * CHANGE_UNIT

    def _add(self, summed: Sum, channel: int, row: int, column: int, *, error: bool) -> int:
        planes = self._error_planes if error else self._value_planes
        total = 0
        for tap in summed.taps:
            plane = planes[tap.plane][tap.channel]
            growing = tap.channel == channel and (error or tap.plane == NOW)
            start = 0 if error else self._table.channels[channel].start
            total += tap.weight * _cell(plane, row + tap.row, column + tap.column, start, growing=growing and tap.row == 0)
        return total


def _cell(plane: np.ndarray, row: int, column: int, start: int, *, growing: bool) -> int:
    """A cell of a plane, or what stands for it beyond the edge; `growing` says that it lies in the row in work."""
    rows, columns = plane.shape
    if growing and column < 0:
        return int(plane[row - 1, 0]) if row else start
    return int(plane[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)])
