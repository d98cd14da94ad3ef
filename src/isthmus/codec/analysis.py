"""Prediction of whole batches at once, where all codes are known: for training tables and for telling what frames cost.

The numbers are those of `predictor`, to the bit. What a training wants of the codec stands here too: `bits` is the rate that the
shipped tables give, and a differentiable copy of it needs `value`, `expected` and the frequencies, nothing else.
"""

from dataclasses import dataclass

import numpy as np

from isthmus.codec.predictor import (
    CHANGE_UNIT,
    ERROR_SHIFT,
    EXPECTED_SHIFT,
    ONE_BITS,
    VALUE_OFFSET_UNIT,
)
from isthmus.codec.table import PROBABILITY_BITS, REACH, THRESHOLD_MAX, Sum, Table

Cells = np.ndarray[tuple[int, ...], np.dtype[np.int32]]


class Planes:
    """Planes of a batch with margins, int32[frame, channel, row, column]."""

    _closed: Cells
    _open: Cells

    def __init__(self, cells: Cells, starts: np.ndarray | None = None) -> None:
        """Pad `cells`; `starts` [channel] stand left of the first row, 0 if None."""
        margins = ((0, 0), (0, 0), (REACH, REACH), (REACH, REACH))
        self._rows, self._columns = cells.shape[2:]
        self._closed = np.pad(cells, margins, mode="edge")
        self._open = self._closed.copy()
        self._open[:, :, REACH + 1 : -REACH, :REACH] = cells[:, :, :-1, :1]
        self._open[:, :, REACH, :REACH] = 0 if starts is None else starts[:, np.newaxis]

    def away(self, channel: int, row: int, column: int, *, growing: bool = False) -> Cells:
        """What lies `row` and `column` away from every cell, int32[frame, row, column]; `growing`: in the channel in work."""
        planes = self._open if growing and row == 0 else self._closed
        top, left = REACH + row, REACH + column
        found: Cells = planes[:, channel, top : top + self._rows, left : left + self._columns]
        return found


@dataclass(frozen=True, slots=True)
class Batch:
    """Symbols of n frames of one tensor.

    Attributes:
        now: int32[n, channel, row, column].
        reference: the same of the frames that they build on, or None.
    """

    now: Cells
    reference: Cells | None = None

    def changes(self) -> Cells:
        """Distances from the reference as the predictor keeps them."""
        assert self.reference is not None
        found: Cells = np.abs(self.now - self.reference) * CHANGE_UNIT
        return found


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the predictor says of a batch; arrays are [frame, channel, row, column].

    Attributes:
        value: predicted symbol times 4096.
        expected: expected error in 1/128 code, 0 to 8191.
        context: row of `Table.frequencies`.
        miss: what is coded, -2^(bits-1) to 2^(bits-1) - 1 (see `misses`).
    """

    value: Cells
    expected: Cells
    context: Cells
    miss: Cells


def analyse(batch: Batch, table: Table) -> Analysis:
    """Predict every symbol of a batch."""
    starts = np.array([channel.start for channel in table.channels])
    planes = value_planes(batch, starts)
    value = np.stack([add(planes, (m.first_value, m.value), c, error=False) for c, m in enumerate(table.channels)], axis=1)
    value = clamp_value(value, table.bits)
    planes = error_planes(batch, value)
    expected = np.stack([add(planes, (m.first_error, m.error), c, error=True) for c, m in enumerate(table.channels)], axis=1)
    expected = clamp_expected(expected)
    level = np.searchsorted(table.thresholds, expected, side="right").astype(np.int32)
    miss = misses(batch.now, value, table.bits)
    return Analysis(value, expected, level * table.fractions + fractions_of(value, table.fractions), miss)


def bits(batch: Batch, table: Table) -> np.ndarray:
    """What every symbol costs in bits, float64[frame, channel, row, column]; a body is that sum and about 24 bits."""
    analysis = analyse(batch, table)
    return miss_bits(analysis.context, analysis.miss, table.frequencies, table.bits)


def miss_bits(context: Cells, miss: Cells, frequencies: np.ndarray, bits: int) -> np.ndarray:
    """What misses cost in bits, escapes with what follows them."""
    alphabet = frequencies.shape[1]
    escaped = np.zeros(miss.shape, dtype=bool) if alphabet == 1 << bits else np.abs(miss) >= alphabet // 2
    coded = np.where(escaped, alphabet // 2, miss % alphabet)
    cost: np.ndarray = PROBABILITY_BITS - np.log2(frequencies[context, coded]) + escaped * bits
    return cost


def value_planes(batch: Batch, starts: np.ndarray) -> list[Planes]:
    """Planes that values are predicted from, by `Tap.plane`."""
    planes = [Planes(batch.now, starts)]
    return planes if batch.reference is None else [*planes, Planes(batch.reference)]


def error_planes(batch: Batch, value: Cells) -> list[Planes]:
    """Planes that errors are predicted from, by `Tap.plane`."""
    planes = [Planes(errors(batch.now, value))]
    return planes if batch.reference is None else [*planes, Planes(batch.changes())]


def errors(now: Cells, value: Cells) -> Cells:
    """Errors in 1/64 code."""
    found: Cells = np.abs((now << ONE_BITS) - value) >> ERROR_SHIFT
    return found


def clamp_value(value: Cells, bits: int) -> Cells:
    """Values of symbols that exist."""
    clamped: Cells = np.clip(value, 0, ((1 << bits) - 1) << ONE_BITS)
    return clamped


def clamp_expected(expected: Cells) -> Cells:
    """Error sums as thresholds are compared with."""
    clamped: Cells = np.minimum(np.maximum(expected, 0) >> EXPECTED_SHIFT, THRESHOLD_MAX - 1)
    return clamped


def misses(now: Cells, value: Cells, bits: int) -> Cells:
    """By how much the nearest symbols missed, towards the value counted positive, -2^(bits-1) to 2^(bits-1) - 1."""
    nearest, distance = _nearest(value)
    miss = np.where(distance < 0, nearest - now, now - nearest)
    half = 1 << bits - 1
    wrapped: Cells = ((miss + half) & ((1 << bits) - 1)) - half
    return wrapped


def fractions_of(value: Cells, fractions: int) -> Cells:
    """Into which part of the way to the next symbol values fall."""
    _, distance = _nearest(value)
    parts: Cells = np.where(distance < 0, -1 - distance, distance) * fractions >> ONE_BITS - 1
    return parts


def _nearest(value: Cells) -> tuple[Cells, Cells]:
    nearest = (value + (1 << ONE_BITS - 1)) >> ONE_BITS
    return nearest, value - (nearest << ONE_BITS)


def add(planes: list[Planes], sums: tuple[Sum, Sum], channel: int, *, error: bool) -> Cells:
    """Both sums of a channel where they hold: the first one in row 0, the second below."""
    unit = 1 << EXPECTED_SHIFT if error else VALUE_OFFSET_UNIT
    shape = planes[0].away(channel, 0, 0).shape
    total = np.empty(shape, dtype=np.int32)
    for summed, rows in zip(sums, (slice(0, 1), slice(1, None)), strict=True):
        total[:, rows] = summed.offset * unit
        for tap in summed.taps:
            growing = tap.channel == channel and (error or tap.plane == 0)
            total[:, rows] += tap.weight * planes[tap.plane].away(tap.channel, tap.row, tap.column, growing=growing)[:, rows]
    return total
