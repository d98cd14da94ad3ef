"""Counts by upper bound, as Prometheus has them, in plain lists: an observation is one bisection and two additions."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts of values by bucket; the last one is of what passes all bounds.

    Args:
        bounds: upper bounds, growing and positive; a value on a bound belongs below it.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Bound and cumulative count, as the text format wants them."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The value below which a share of all values lies, estimated inside its bucket on a logarithmic scale.

    Args:
        bounds: of a histogram.
        counts: by bucket, one more than there are bounds.
        share: 0 to 1.

    Returns:
        The estimate, None where nothing was counted; the greatest bound for values beyond it, which is too little.

    >>> quantile((1.0, 2.0, 4.0), (0, 10, 0, 0), 0.5)
    1.414...
    """
    wanted = share * sum(counts)
    if not any(counts):
        return None
    below = 0
    for index, count in enumerate(counts[:-1]):
        if count and below + count >= wanted:
            upper = bounds[index]
            # The lowest bucket has no lower bound to take a logarithm of: as wide as its neighbour.
            lower = bounds[index - 1] if index else upper * bounds[0] / bounds[min(1, len(bounds) - 1)]
            return float(lower * math.pow(upper / lower, (wanted - below) / count)) if lower < upper else float(upper)
        below += count
    return float(bounds[-1])
