"""A comparison of two runs in words: what changed beyond chance, and what did not."""

from collections.abc import Sequence
from statistics import median

from isthmus.bench import words
from isthmus.bench.change import Change, Verdict
from isthmus.bench.comparison import Comparison

LEVEL = 0.05
"""Of the figures of two equal runs, the share whose 95% interval leaves out zero."""


def sentences(found: Comparison, *, with_warnings: bool = True) -> list[str]:
    """The most important sentence first; that a run is no result is the first of all."""
    everything = found.named_changes
    known = [change for _name, change in everything if change.verdict != "unknown"]
    same = [change for change in known if change.verdict == "no change seen"]
    said = [f"{reason}." for reason in found.unsteady] if with_warnings else []
    said += filter(None, (_beyond_chance(everything, "worse"), _beyond_chance(everything, "better")))
    if same:
        said.append(f"No change is seen in {len(same)} of {len(everything)} figures{_resolution(same)}.")
    if len(known) * LEVEL >= 1 and len(same) < len(known):
        said.append(f"Of {len(known)} figures about {len(known) * LEVEL:.0f} would cross their interval by chance alone.")
    if unknown := len(everything) - len(known):
        said.append(f"{unknown} figures have no interval: too few frames beyond the percentile, or no samples.csv beside it.")
    if found.equal:
        said.append(f"How equal runs differ was learned from {len(found.equal) + 1} of them.")
    elif len(same) < len(known):
        said.append("How whole runs differ by chance is not known: name more runs like the first one with --equal.")
    if found.differs:
        said.append(f"Not alike in the two runs: {'; '.join(found.differs)}.")
    return said


def _beyond_chance(everything: Sequence[tuple[str, Change]], verdict: Verdict) -> str:
    which = [f"{name} {told(change)}" for name, change in everything if change.verdict == verdict]
    return f"{verdict.capitalize()} beyond chance: {'; '.join(which)}." if which else ""


def told(change: Change) -> str:
    """One change, as `p50 12.3 to 15.1 ms (+23%)`."""
    relative = "" if change.relative is None else f" ({change.relative:+.1%})"
    return f"{title(change)} {value(change, change.before)} to {value(change, change.after)}{relative}"


def title(change: Change) -> str:
    """Name of the figure.

    >>> title(Change(name="latency_ms.p95", before=1.0, after=2.0))
    'p95'
    """
    return {"bytes_payload_mean": "payload", "metric": "accuracy"}.get(change.name, change.name.removeprefix("latency_ms."))


def value(change: Change, figure: float | None) -> str:
    """A figure with its unit."""
    if figure is None:
        return words.UNKNOWN
    if change.name == "metric":
        return words.share(figure)
    return words.size(figure) if change.name == "bytes_payload_mean" else f"{words.milliseconds(figure)} ms"


def interval(change: Change) -> str:
    """The difference with its interval, in the figure's unit; percent points for shares.

    >>> interval(Change(name="latency_ms.p50", before=10.0, after=12.0, low=1.5, high=2.5))
    '+2.00 (+1.50 to +2.50) ms'
    """
    if change.difference is None:
        return words.UNKNOWN
    factor, unit = {"metric": (100, "points"), "bytes_payload_mean": (1, "B")}.get(change.name, (1, "ms"))
    digits = 2 if abs(change.difference) * factor >= 0.1 else 3
    bounds = "" if change.low is None else f" ({change.low * factor:+.{digits}f} to {(change.high or 0) * factor:+.{digits}f})"
    return f"{change.difference * factor:+.{digits}f}{bounds} {unit}"


def _resolution(same: list[Change]) -> str:
    """How small a change of latency would have been seen."""
    halves = [
        (change.high - change.low) / 2 / change.before
        for change in same
        if change.name.startswith("latency_ms") and change.before and change.high is not None and change.low is not None
    ]
    return f"; half of their intervals for latency are narrower than ±{median(halves):.1%}" if halves else ""
