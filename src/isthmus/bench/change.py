"""How one figure of one cell differs between two runs, and how far it would differ by chance.

The doubt of a latency is the largest one of three: how single frames scatter, how starts of the programs differ, and, where
more runs like the first one are at hand, how whole runs differ. Where both runs took the same frames, bytes, accuracy and starts
are compared frame by frame and start by start, so that the content of the pictures cancels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isthmus.bench import doubt
from isthmus.bench.results import Row
from isthmus.bench.samples import Samples

Verdict = Literal["better", "worse", "no change seen", "unknown"]
LATENCIES = (50, 95)
"""Percentiles that are compared."""
BEYOND_MIN = 5
"""Frames that must lie beyond a percentile for its interval to mean something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of one cell in both runs.

    Attributes:
        name: as in `results.json`.
        before: in the first run; None where nothing was answered.
        after: in the second one.
        low: of the 95% interval of `after - before`; None where it cannot be told.
        high: likewise.
        more_is_better: of accuracy; less is better elsewhere.
    """

    name: str
    before: float | None
    after: float | None
    low: float | None = None
    high: float | None = None
    more_is_better: bool = False

    @property
    def difference(self) -> float | None:
        """Second run minus first run."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """The difference as a share of the first run's value."""
        return None if self.difference is None or not self.before else self.difference / self.before

    @property
    def verdict(self) -> Verdict:
        """Whether zero lies outside of the interval, and on which side."""
        if self.low is None or self.high is None:
            return "unknown"
        if self.low <= 0 <= self.high:
            return "no change seen"
        return "better" if (self.low > 0) == self.more_is_better else "worse"

    def is_regression(self, tolerance: float) -> bool:
        """Whether it became worse beyond chance, and by more than this share of its value (an accuracy: by more than so much)."""
        by = self.difference if self.more_is_better else self.relative
        return self.verdict == "worse" and (by is None or abs(by) > tolerance)

    def as_json(self) -> dict[str, Any]:
        """In the types that JSON has."""
        figures = {"before": self.before, "after": self.after, "difference": self.difference, "low": self.low, "high": self.high}
        return {"name": self.name, **figures, "relative": self.relative, "verdict": self.verdict}


def changes(
    first: Row, second: Row, kept: tuple[Samples, Samples] | None, *, paired: bool, equal: Sequence[Row] = ()
) -> Iterator[Change]:
    """Every figure of one cell in two runs.

    Args:
        first: of the first run.
        second: the same cell in the second run.
        kept: the samples of both; None where they were not kept.
        paired: both runs took the same frames.
        equal: the cell in more runs that were made like the first one.
    """
    errors = dict.fromkeys(LATENCIES, None) if kept is None else latency_errors(*kept, paired=paired)
    for rank in LATENCIES:
        error = _larger(errors[rank], _run_error([_latency(row, rank) for row in (first, *equal)]))
        yield _change(f"latency_ms.p{rank}", _latency(first, rank), _latency(second, rank), error=error)
    size = None if kept is None else _mean_error(*[_by_frame(one, one.payload_bytes) for one in kept], paired=paired)
    yield _change("bytes_payload_mean", first.bytes_payload_mean, second.bytes_payload_mean, error=size)
    right = None if kept is None else _mean_error(*[_by_frame(one, one.right) for one in kept], paired=paired)
    yield _change("metric", first.metric.value, second.metric.value, error=right, more_is_better=True)


def _change(name: str, before: float | None, after: float | None, *, error: float | None, more_is_better: bool = False) -> Change:
    low = high = None
    if error is not None and before is not None and after is not None:
        low, high = after - before - error, after - before + error
    return Change(name=name, before=before, after=after, low=low, high=high, more_is_better=more_is_better)


def _latency(row: Row, rank: int) -> float | None:
    found: float | None = getattr(row.latency_ms, f"p{rank}")
    return found


def _larger(error: float | None, other: float | None) -> float | None:
    known = [one for one in (error, other) if one is not None]
    return max(known, default=None)


def _run_error(values: Sequence[float | None]) -> float | None:
    """Half of the 95% interval of the difference of two runs, by how equal ones scatter; None where fewer than two answered."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return float(doubt.student(len(known) - 1) * math.sqrt(2) * np.std(known, ddof=1))


def latency_errors(first: Samples, second: Samples, *, paired: bool) -> dict[int, float | None]:
    """Percentile -> half of the 95% interval of its difference; None where too few frames lie beyond the percentile."""
    least = min(len(first.latency_ms), len(second.latency_ms))
    ranks = [rank for rank in LATENCIES if least * (100 - rank) / 100 >= BEYOND_MIN]
    if not ranks:
        return dict.fromkeys(LATENCIES)
    scatter = np.hypot(doubt.quantile_errors(first.latency_ms, ranks), doubt.quantile_errors(second.latency_ms, ranks))
    between, factor = _start_errors(first, second, ranks, paired=paired)
    found = dict(zip(ranks, (factor * np.maximum(scatter, between)).tolist(), strict=True))
    return {rank: found.get(rank) for rank in LATENCIES}


def _start_errors(first: Samples, second: Samples, ranks: Sequence[int], *, paired: bool) -> tuple[np.ndarray, float]:
    """Standard error of the differences by how starts differ, 0 where there is one; and what makes errors an interval."""
    one, other = ([_of_start(run, start, ranks) for start in np.unique(run.start)] for run in (first, second))
    if min(len(one), len(other)) < 2:
        return np.zeros(len(ranks)), doubt.NORMAL_975
    if paired and len(one) == len(other):
        found = np.std(np.array(other) - np.array(one), axis=0, ddof=1) / math.sqrt(len(one))
        return found, doubt.student(len(one) - 1)
    errors = [np.std(run, axis=0, ddof=1) / math.sqrt(len(run)) for run in (one, other)]
    return np.hypot(*errors), doubt.student(len(one) + len(other) - 2)


def _of_start(run: Samples, start: int, ranks: Sequence[int]) -> np.ndarray:
    return np.asarray(np.percentile(run.latency_ms[run.start == start], ranks))


def _by_frame(run: Samples, values: np.ndarray) -> dict[int, float]:
    """Frame -> value, where it is known."""
    return {int(frame): float(value) for frame, value in zip(run.sequence, values, strict=True) if not math.isnan(value)}


def _mean_error(first: dict[int, float], second: dict[int, float], *, paired: bool) -> float | None:
    """Half of the 95% interval of the difference of means; None where nothing is known."""
    if not first or not second:
        return None
    if paired and first.keys() == second.keys():
        return doubt.NORMAL_975 * doubt.mean_error(np.array([second[frame] - first[frame] for frame in sorted(first)]))
    errors = [doubt.mean_error(np.array([run[frame] for frame in sorted(run)])) for run in (first, second)]
    return doubt.NORMAL_975 * math.hypot(*errors)
