"""Whether a cell was in a steady state while it was measured: its times did not drift, and its server kept up."""

from collections.abc import Iterator

import numpy as np

from isthmus.bench import doubt
from isthmus.bench.cell import Cell
from isthmus.bench.scenario import Scenario
from isthmus.devices.pace import SETTLED_SHARE

ERRORS_MAX = 3.0
"""Halves whose medians are further apart than so many standard errors differ by more than chance."""
HALF_MIN = 20
"""Answers in a half below which its median says little."""
DRAIN_SHARE_MAX = 0.1
DRAIN_LATENCIES_MIN = 3.0
"""A server fell behind that worked on, when the last frame had been due, for this part of the time and for so many latencies."""


def reasons(cell: Cell, scenario: Scenario, *, starts: int) -> Iterator[str]:
    """Why a cell's figures are no result, in words; none for a steady cell."""
    if cell.unsettled_starts:
        yield "its times had not settled when the first frame was measured"
    share = drift(cell.latencies_ms, np.array([answer.start for answer in cell.answers]))
    if share is not None:
        yield f"its median latency went from the first half of each start to the second by {share:+.0%}"
    if scenario.name == "server" and cell.answers and _fell_behind(cell, starts=starts):
        rate = len(cell.answers) / cell.span_s
        yield f"it fell behind: {rate:.3g} of {scenario.rate_per_s:g} frames/s were answered, and a queue grew"


def drift(latencies_ms: np.ndarray, start: np.ndarray) -> float | None:
    """By what share the median of the second halves of all starts differs from that of the first halves; None where by chance.

    Args:
        latencies_ms: float64[answer] in the order they came.
        start: int64[answer], which start each belongs to.
    """
    order = np.concatenate([np.arange(count) / count for count in np.unique(start, return_counts=True)[1]] or [np.zeros(0)])
    first, second = latencies_ms[order < 0.5], latencies_ms[order >= 0.5]
    if min(len(first), len(second)) < HALF_MIN:
        return None
    change = float(np.median(second) - np.median(first))
    error = float(np.hypot(*(doubt.quantile_errors(half, [50])[0] for half in (first, second))))
    share = change / float(np.median(first))
    return share if abs(change) > ERRORS_MAX * error and abs(share) > SETTLED_SHARE else None


def _fell_behind(cell: Cell, *, starts: int) -> bool:
    shortest_s = min(answer.latency_s for answer in cell.answers)
    return cell.drain_s > max(DRAIN_SHARE_MAX * cell.span_s, DRAIN_LATENCIES_MIN * starts * shortest_s)
