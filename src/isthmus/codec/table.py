"""What one mode has learned about one boundary tensor: predictor, error model, probabilities.

A table is a run of 16-bit words (`docs/codec.md` has them one by one), the same in `codec.npz`, in the C core and in the tests.
Whatever it holds is checked here once, so that nothing that is computed with it leaves 32 bits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.errors import BundleError

Words = np.ndarray[tuple[int], np.dtype[np.int16]]

VERSION = 1
CHANNELS_MAX = 1024
"""Channels of a tensor that tables are made for; a cut with more is no bottleneck, and each channel brings its own weights."""
LEVELS = 16
"""Contexts by expected error."""
FRACTIONS = (1, 2, 4, 8)
"""Into how many parts the distance of a prediction from the nearest code may be divided; each has probabilities of its own."""
PROBABILITY_BITS = 12
VALUE_TAPS_MAX = 48
ERROR_TAPS_MAX = 16
ERROR_WEIGHT_MAX = 4096
REACH = 2
"""Rows and columns that a tap may lie away."""
THRESHOLD_MAX = 8192

NOW, REFERENCE = 0, 1
"""Planes that a value is predicted from."""
ERROR, CHANGE = 0, 1
"""Planes that an error is predicted from: errors of the prediction so far, and distances from the reference frame."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One neighbour in a weighted sum: `weight` times the plane `plane` of `channel`, `row` and `column` away."""

    plane: int
    channel: int
    row: int
    column: int
    weight: int


@dataclass(frozen=True, slots=True)
class Sum:
    """A weighted sum of neighbours."""

    offset: int
    taps: tuple[Tap, ...]


@dataclass(frozen=True, slots=True)
class ChannelModel:
    """How the codes of one channel are predicted. The first row has sums of its own, for there is nothing above it."""

    start: int
    """Symbol that stands to the left of the first one."""
    first_value: Sum
    value: Sum
    first_error: Sum
    error: Sum


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A checked table.

    Attributes:
        bits: of a symbol.
        alphabet_bits: of a coded miss; a miss of half the alphabet or more is escaped, unless there are as many bits as `bits`.
        fractions: parts that the distance to the nearest code is divided into.
        temporal: whether there is a reference frame.
        channels: one model for each channel.
        thresholds: 15 expected errors in 1/128 code, not falling, that part the 16 levels.
        frequencies: int16[LEVELS * fractions, 2^alphabet_bits], each at least 1, each row with the sum 4096.
    """

    bits: int
    alphabet_bits: int
    fractions: int
    temporal: bool
    channels: tuple[ChannelModel, ...]
    thresholds: tuple[int, ...]
    frequencies: np.ndarray

    def __post_init__(self) -> None:
        _check(self)

    def words(self) -> Words:
        """The table as it is stored, int16[length]."""
        head = [VERSION, self.bits, self.alphabet_bits, self.fractions, int(self.temporal), len(self.channels)]
        head += [channel.start for channel in self.channels]
        for channel in self.channels:
            head += [*_sum_words(channel.first_value), *_sum_words(channel.value)]
        for channel in self.channels:
            head += [*_sum_words(channel.first_error), *_sum_words(channel.error)]
        return np.concatenate([np.array([*head, *self.thresholds]), self.frequencies.ravel()]).astype(np.int16)


def _sum_words(summed: Sum) -> Iterable[int]:
    yield from (summed.offset, len(summed.taps))
    for tap in summed.taps:
        yield from (tap.plane, tap.channel, tap.row, tap.column, tap.weight)


class _Reader:
    """Takes words one after the other."""

    def __init__(self, words: Words) -> None:
        self._words = words.tolist()
        self._next = 0

    def take(self) -> int:
        if self._next == len(self._words):
            raise BundleError(f"a codec table ends after {len(self._words)} words, in the middle")
        self._next += 1
        return int(self._words[self._next - 1])

    def count(self, most: int, what: str) -> int:
        """A number from 0 to `most`, known before anything of that size is made."""
        found = self.take()
        if not 0 <= found <= most:
            raise BundleError(f"a codec table has {found} {what}, at most {most} are taken")
        return found

    def sum(self, taps_max: int) -> Sum:
        offset = self.take()
        count = self.count(taps_max, "taps in one sum")
        return Sum(offset, tuple(Tap(*(self.take() for _ in range(5))) for _ in range(count)))

    def rest(self) -> np.ndarray:
        return np.array(self._words[self._next :], dtype=np.int16)


def read(words: np.ndarray[Any, Any]) -> Table:
    """Read a table from its words.

    Raises:
        BundleError: they are not a table, or one that no encoder of ours would write.
    """
    if words.dtype != np.int16 or words.ndim != 1:
        raise BundleError(f"a codec table is int16[words], got {words.dtype}{list(words.shape)}")
    reader = _Reader(words)
    version, bits, alphabet_bits, fractions, temporal = (reader.take() for _ in range(5))
    if version != VERSION:
        raise BundleError(f"a codec table has version {version}, this program reads {VERSION}; install a newer isthmus")
    if not 1 <= alphabet_bits <= bits <= 8 or fractions not in FRACTIONS or temporal not in (0, 1):
        raise BundleError(
            f"a codec table is of {bits} bits, {alphabet_bits} of them coded, {fractions} fractions, temporal {temporal}; "
            "it is damaged"
        )
    count = reader.count(CHANNELS_MAX, "channels")
    starts = [reader.take() for _ in range(count)]
    values = [(reader.sum(VALUE_TAPS_MAX), reader.sum(VALUE_TAPS_MAX)) for _ in range(count)]
    errors = [(reader.sum(ERROR_TAPS_MAX), reader.sum(ERROR_TAPS_MAX)) for _ in range(count)]
    thresholds = tuple(reader.take() for _ in range(LEVELS - 1))
    frequencies = reader.rest()
    if frequencies.size != LEVELS * fractions << alphabet_bits:
        raise BundleError(f"a codec table has {frequencies.size} frequencies, {LEVELS * fractions << alphabet_bits} belong to it")
    return Table(
        bits=bits,
        alphabet_bits=alphabet_bits,
        fractions=fractions,
        temporal=bool(temporal),
        channels=tuple(ChannelModel(s, *value, *error) for s, value, error in zip(starts, values, errors, strict=True)),
        thresholds=thresholds,
        frequencies=frequencies.reshape(LEVELS * fractions, 1 << alphabet_bits),
    )


def _check(table: Table) -> None:
    if not 1 <= len(table.channels) <= CHANNELS_MAX:
        raise BundleError(f"a codec table has {len(table.channels)} channels, 1 to {CHANNELS_MAX} are taken")
    for index, channel in enumerate(table.channels):
        if not 0 <= channel.start < 1 << table.bits:
            raise BundleError(f"a codec table starts channel {index} at {channel.start}, {table.bits} bits end before")
        for summed, first in ((channel.first_value, True), (channel.value, False)):
            _check_sum(summed, index, first=first, error=False, temporal=table.temporal)
        for summed, first in ((channel.first_error, True), (channel.error, False)):
            _check_sum(summed, index, first=first, error=True, temporal=table.temporal)
    steps = (0, *table.thresholds, THRESHOLD_MAX)
    if len(table.thresholds) != LEVELS - 1 or any(low > high for low, high in pairwise(steps)):
        raise BundleError(f"the thresholds of a codec table fall, or leave 0..{THRESHOLD_MAX}: {table.thresholds}")
    shape = (LEVELS * table.fractions, 1 << table.alphabet_bits)
    if table.frequencies.shape != shape or table.frequencies.min() < 1:
        raise BundleError(f"the frequencies of a codec table are {list(table.frequencies.shape)}, or one is below 1")
    if (table.frequencies.sum(axis=1, dtype=np.int64) != 1 << PROBABILITY_BITS).any():
        raise BundleError(f"the frequencies of a context of a codec table have not the sum {1 << PROBABILITY_BITS}")


def _check_sum(summed: Sum, own: int, *, first: bool, error: bool, temporal: bool) -> None:
    """No tap may read what the decoder does not know yet, and no sum may leave 32 bits."""
    taps_max, weight_max = (ERROR_TAPS_MAX, ERROR_WEIGHT_MAX) if error else (VALUE_TAPS_MAX, 1 << 15)
    if len(summed.taps) > taps_max:
        raise BundleError(f"a codec table has {len(summed.taps)} taps in one sum, at most {taps_max} are taken")
    for tap in summed.taps:
        near = abs(tap.row) <= REACH and abs(tap.column) <= REACH and abs(tap.weight) <= weight_max
        known = 0 <= tap.channel <= own and tap.plane in ((0, 1) if temporal else (0,))
        # Of the channel in work only what comes before is known, and in its first row nothing lies above.
        growing = tap.channel == own and (error or tap.plane == NOW)
        before = tap.row < 0 or (tap.row == 0 and tap.column < 0)
        if not (near and known) or (growing and (not before or (first and tap.row < 0))):
            raise BundleError(f"a codec table predicts channel {own} from {tap}, which cannot be")


def fits(table: Table, *, bits: int, channels: int, temporal: bool) -> bool:
    """Whether a table is made for tensors of `bits` and `channels`."""
    return (table.bits, len(table.channels), table.temporal) == (bits, channels, temporal)
