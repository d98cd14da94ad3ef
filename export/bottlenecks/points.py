"""The operating points of a bundle: prefixes of the channels of its bottlenecks."""

from collections.abc import Sequence

from isthmus.contract.boundary import OperatingPoint
from isthmus.export.bottlenecks.bottleneck import Bottleneck

PARTS = {"full": 1, "half": 2, "quarter": 4}
"""Name of a point -> part of the channels, one over."""


def prefixes(channels: int) -> tuple[int, ...]:
    """How many of nested channels the points have, from all to the fewest, each once.

    >>> prefixes(6), prefixes(1)
    ((6, 3, 1), (1,))
    """
    return tuple(dict.fromkeys(max(1, channels // part) for part in PARTS.values()))


def of(bottlenecks: Sequence[Bottleneck]) -> tuple[OperatingPoint, ...]:
    """All channels, and where every bottleneck is nested half and a quarter of them, at least one of each."""
    nested = all(one.is_nested for one in bottlenecks)
    points: list[OperatingPoint] = []
    for name, part in PARTS.items():
        channels = tuple(max(1, one.shape[0] // part) for one in bottlenecks)
        if not points or (nested and channels != points[-1].channels):
            points.append(OperatingPoint(name=name, channels=channels, explained_variance=_explained(bottlenecks, channels)))
    return tuple(points)


def _explained(bottlenecks: Sequence[Bottleneck], channels: tuple[int, ...]) -> float | None:
    """The least that is kept of any tensor's variance; None where it was not measured."""
    kept = [one.explained[count - 1] for one, count in zip(bottlenecks, channels, strict=True) if one.explained]
    return min(kept) if len(kept) == len(bottlenecks) else None
