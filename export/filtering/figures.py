"""What the filter does on a part of the film."""

from collections.abc import Callable, Sequence

import numpy as np

from isthmus.contract.binomial import interval
from isthmus.contract.filter import FilterFigures
from isthmus.export.filtering import events
from isthmus.export.filtering.parting import Part, Stretch
from isthmus.export.filtering.threshold import of_event

WEIGHED = 64
"""Dropped frames whose payload is made, spread evenly."""

Weigh = Callable[[Sequence[np.ndarray]], int]
"""Bytes of the payload of one frame: int8 or uint8[*shape] for each boundary tensor."""


def figures(
    part: Part, stretches: Sequence[Stretch], scores: Sequence[np.ndarray], threshold: float, weigh: Weigh
) -> FilterFigures:
    """Count.

    Args:
        part: of the film.
        stretches: its stretches.
        scores: for each of them float32[frame].
        threshold: least score that passes.
        weigh: gives payloads.
    """
    seen = np.concatenate([given[one.seen] for one, given in zip(stretches, scores, strict=True)])
    blank = np.concatenate([given[one.empty] for one, given in zip(stretches, scores, strict=True)])
    of_events = [
        events.score(of_event(one, event, given)) for one, given in zip(stretches, scores, strict=True) for event in one.events
    ]
    dropped = [
        [tensor[frame] for tensor in one.codes]
        for one, given in zip(stretches, scores, strict=True)
        for frame in np.flatnonzero(one.empty & (given < threshold))
    ]
    weighed = [
        dropped[index] for index in np.unique(np.linspace(0, len(dropped) - 1, min(WEIGHED, len(dropped))).round().astype(int))
    ]
    return FilterFigures(
        part=part,
        frames=sum(map(len, stretches)),
        seen=len(seen),
        empty=len(blank),
        events=len(of_events),
        recall_events=interval("event recall", sum(score >= threshold for score in of_events), len(of_events)),
        recall_frames=_share(seen >= threshold),
        empty_dropped=_share(blank < threshold),
        auc=auc(seen, blank),
        payload_bytes=float(np.mean([weigh(codes) for codes in weighed])) if weighed else 0.0,
    )


def _share(which: np.ndarray) -> float:
    return float(which.mean()) if len(which) else 0.0


def auc(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Area under the ROC curve: chance that a positive scores above a negative, ties count half; None without either.

    >>> auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    0.875
    """
    if not len(positive) or not len(negative):
        return None
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left")
    up_to = np.searchsorted(order, positive, "right")
    return float((below + up_to).mean() / 2 / len(negative))
