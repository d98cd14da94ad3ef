"""The rate of a real link over time, out of a recording; it begins anew when it is over.

Two kinds of files are read, told apart by the numbers on their first line:

    one number a line     Mahimahi: the millisecond at which one packet of 1500 bytes may pass, growing; what nobody sends then is
                          lost. Of a packet 1448 bytes are TCP payload, which is what links are counted in here.
    two numbers a line    Pensieve: seconds, growing, and the Mbit/s of payload since the line before.

Sources: Winstein et al., NSDI 2013 (the recordings of Mahimahi); Mao et al., SIGCOMM 2017, and Riiser et al., MMSys 2013
(Pensieve). A trace is a schedule: how many bits have passed by when. Nothing here knows of clocks.
"""

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from isthmus.contract import small_file
from isthmus.errors import UsageError

PACKET_PAYLOAD_BYTES = 1448
"""TCP payload of a packet of 1500 bytes: 20 of IPv4, 20 of TCP and 12 of its timestamps are taken off."""
SIZE_MAX = 64 * 1024 * 1024
"""Hours of a fast link; the recordings known have below 1 MB."""
_SLOT_S = 0.001
"""Mahimahi counts milliseconds; a packet of millisecond t passes evenly during the one that ends at t."""


@dataclass(frozen=True, slots=True)
class RateTrace:
    """Bits that have passed by a time since the start, linear in between.

    Attributes:
        times_s: growing, the first 0.0, the last the length of the trace.
        passed_bit: at each of the times, not falling, the first 0.0, the last above 0.

    Raises:
        UsageError: they are not of that form.
    """

    times_s: tuple[float, ...]
    passed_bit: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times_s) != len(self.passed_bit) or len(self.times_s) < 2:
            raise UsageError("it needs a beginning and an end")
        if self.times_s[0] or self.passed_bit[0] or not math.isfinite(self.times_s[-1] + self.passed_bit[-1]):
            raise UsageError("it has to begin at 0 and to end")
        if any(later <= earlier for earlier, later in itertools.pairwise(self.times_s)):
            raise UsageError("its times have to grow")
        if any(later < earlier for earlier, later in itertools.pairwise(self.passed_bit)):
            raise UsageError("it cannot take bits back")
        if not self.passed_bit[-1]:
            raise UsageError("nothing ever passes")

    @classmethod
    def of_rates(cls, spans: Iterable[tuple[float, float]]) -> Self:
        """A trace of (seconds, bit/s) that follow one another."""
        times_s, passed_bit = [0.0], [0.0]
        for duration_s, rate_bit_s in spans:
            times_s.append(times_s[-1] + duration_s)
            passed_bit.append(passed_bit[-1] + rate_bit_s * duration_s)
        return cls(tuple(times_s), tuple(passed_bit))

    @property
    def length_s(self) -> float:
        """After so long it begins anew."""
        return self.times_s[-1]

    @property
    def mean_rate_bit_s(self) -> float:
        """Over the whole trace."""
        return self.passed_bit[-1] / self.times_s[-1]

    def passed_by(self, time_s: float) -> float:
        """Bits that could have passed from the start of the trace until `time_s`, which is 0 or more."""
        rounds, within_s = divmod(time_s, self.length_s)
        index = min(bisect_right(self.times_s, within_s), len(self.times_s) - 1)
        return rounds * self.passed_bit[-1] + _between(within_s, self.times_s, self.passed_bit, index)

    def sent_at(self, start_s: float, size_bytes: int) -> float:
        """When the last of `size_bytes` has passed whose sending begins at `start_s`; both in seconds of the trace, 0 or more.

        >>> RateTrace.of_rates([(1, 8000), (1, 0)]).sent_at(0.5, 1000)
        2.5
        """
        if not size_bytes:
            return start_s
        rounds, wanted_bit = divmod(self.passed_by(start_s) + 8 * size_bytes, self.passed_bit[-1])
        if not wanted_bit:
            # Just what whole rounds let pass is through before a pause at the end of the trace.
            rounds, wanted_bit = rounds - 1, self.passed_bit[-1]
        index = bisect_left(self.passed_bit, wanted_bit)
        sent_s = rounds * self.length_s + _between(wanted_bit, self.passed_bit, self.times_s, index)
        return max(start_s, sent_s)


def _between(place: float, places: tuple[float, ...], values: tuple[float, ...], index: int) -> float:
    """The value at `place`, which lies between `places` at `index - 1` and `index`."""
    if not index:
        return values[0]
    first, last = places[index - 1], places[index]
    share = (place - first) / (last - first)
    return values[index - 1] + share * (values[index] - values[index - 1])


def read_trace(path: Path) -> RateTrace:
    """Read a file of either kind.

    Raises:
        UsageError: it cannot be read, or is no such file; names the line.
    """
    try:
        data = small_file.read(path, size_max=SIZE_MAX, error=UsageError)
    except FileNotFoundError as error:
        raise UsageError(f"trace {path} is not there") from error
    try:
        return _parse(data)
    except UsageError as error:
        raise UsageError(f"trace {path}: {error}") from error


_Rows = list[tuple[int, tuple[float, ...]]]
"""Number of the line, and what stands there."""


def _parse(data: bytes) -> RateTrace:
    try:
        lines = [(number, line.split()) for number, line in enumerate(data.decode("ascii").splitlines(), 1) if line.strip()]
    except UnicodeDecodeError as error:
        raise UsageError(f"byte {error.start} is {data[error.start]}; it is no text of numbers") from error
    if not lines:
        raise UsageError("it is empty; one number a line (Mahimahi) or two (seconds and Mbit/s) are read")
    number, first = lines[0]
    columns = len(first)
    if columns not in (1, 2):
        raise UsageError(f"line {number} has {columns} numbers; one is a packet of Mahimahi's, two are seconds and Mbit/s")
    rows = [(number, _numbers(number, words, columns)) for number, words in lines]
    return _of_deliveries(rows) if columns == 1 else _of_seconds(rows)


def _numbers(number: int, words: list[str], columns: int) -> tuple[float, ...]:
    if len(words) != columns:
        raise UsageError(f"line {number} has {len(words)} numbers, the first line has {columns}")
    shown = " ".join(words)[:40]
    try:
        values = tuple(map(float, words))
    except ValueError as error:
        raise UsageError(f"line {number} is {shown!r}, no number") from error
    if not all(0 <= value < 1e9 for value in values):
        raise UsageError(f"line {number} is {shown!r}; 0 to 1e9 can be read")
    return values


def _of_deliveries(rows: _Rows) -> RateTrace:
    """Each packet passes during the millisecond that ends at its time; those of time 0 during the first one."""
    times_s, passed_bit = [0.0], [0.0]
    last = 0.0
    for number, (millisecond,) in rows:
        if millisecond != int(millisecond):
            raise UsageError(f"line {number} is {millisecond}; packets pass at whole milliseconds")
        if millisecond < last:
            raise UsageError(f"line {number} is {millisecond:g} ms after {last:g} ms; times have to grow")
        last = millisecond
        ends_s = max(1, int(millisecond)) * _SLOT_S
        if ends_s > times_s[-1]:
            begins_s = (max(1, int(millisecond)) - 1) * _SLOT_S
            if begins_s > times_s[-1]:
                times_s.append(begins_s)
                passed_bit.append(passed_bit[-1])
            times_s.append(ends_s)
            passed_bit.append(passed_bit[-1])
        passed_bit[-1] += 8 * PACKET_PAYLOAD_BYTES
    return RateTrace(tuple(times_s), tuple(passed_bit))


def _of_seconds(rows: _Rows) -> RateTrace:
    """The rate of a line holds since the line before; that of the first one says nothing."""
    if len(rows) < 2:
        raise UsageError("it has one line; a rate needs the time of the line before")
    spans = []
    for (_, (before_s, _rate)), (number, (time_s, rate_mbit_s)) in itertools.pairwise(rows):
        if time_s <= before_s:
            raise UsageError(f"line {number} is at {time_s:g} s after {before_s:g} s; times have to grow")
        spans.append((time_s - before_s, rate_mbit_s * 1e6))
    return RateTrace.of_rates(spans)
