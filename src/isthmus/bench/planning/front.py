"""Which forecasts no other beats in everything: latency, bytes, accuracy, and energy where it is known."""

from collections.abc import Sequence

from isthmus.bench.planning.forecast import Forecast


def front(forecasts: Sequence[Forecast]) -> list[Forecast]:
    """The Pareto front, in the given order; what the link cannot carry is not on it, and of equals all are.

    Args:
        forecasts: of one link.
    """
    possible = [one for one in forecasts if one.is_possible]
    return [one for one in possible if not any(_dominates(other, one) for other in possible)]


def _dominates(one: Forecast, other: Forecast) -> bool:
    mine, theirs = _costs(one), _costs(other)
    return all(a <= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs


def _costs(one: Forecast) -> tuple[float, float, float, float]:
    """Less is better."""
    return one.latency.value, one.wire_bytes, -one.candidate.metric.value, one.above_idle_j or 0.0
