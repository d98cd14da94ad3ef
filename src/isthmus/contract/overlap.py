"""Are two lists of boxes the same?

Two machines never give the same floats, and suppression turns a difference in the last digit into a box more or less. So boxes
are paired: those of one class that overlap enough belong together, one to one, the best scores first (as in COCO's evaluation).
"""

from collections.abc import Mapping

import numpy as np

from isthmus.contract.detection import Found, read, rows

SAME_OVERLAP = 0.95
"""At least this much do two boxes overlap that stand for one box on two machines."""
SAME_SCORE = 0.01
"""At most this much do their scores differ."""
DIFFERENCE_MAX = 0.05
"""`difference` of two answers that count as the same: one pair of boxes near the edge of suppression may fall either way; a wrong
network is near 1."""


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: float64[n, m] of float[n, 4] and float[m, 4], x1 y1 x2 y2.

    >>> overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [0, 0, 2, 2]])).round(3)
    array([[0.333, 1.   ]])
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(some[:, 2:] - some[:, :2], 0, None), axis=1) for some in (boxes, others)]
    united = areas[0][:, None] + areas[1][None, :] - shared
    share: np.ndarray = np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)
    return share


def pairs(found: Found, wanted: Found, *, overlap_min: float, score_distance_max: float = 1.0) -> list[tuple[int, int]]:
    """Pair boxes of one class one to one.

    Args:
        found: by falling score.
        wanted: by falling score.
        overlap_min: least intersection over union of a pair.
        score_distance_max: largest difference of their scores.

    Returns:
        (index in `found`, index in `wanted`), in the order of `found`; each takes the free partner that it overlaps most.
    """
    share = overlaps(found.boxes, wanted.boxes)
    share[found.classes[:, None] != wanted.classes[None, :]] = -1
    share[np.abs(found.scores[:, None] - wanted.scores[None, :]) > score_distance_max] = -1
    taken: list[tuple[int, int]] = []
    for index in range(len(found)):
        best = int(share[index].argmax()) if len(wanted) else -1
        if best >= 0 and share[index, best] >= overlap_min:
            taken.append((index, best))
            share[:, best] = -1
    return taken


def difference(got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> float:
    """How much of the boxes of one answer is missing in another.

    Args:
        got: outputs of a detector, see `contract.detection`.
        want: the same of another machine or another graph; the same number of rows.

    Returns:
        The scores of boxes without partner over the scores of all boxes (at least 1, lest one faint box make all the difference);
        0 where all have partners, 1 where none has one or where rows or NaN differ.

    Raises:
        ContractMismatch: one of them is not a detector's answer.
    """
    if rows(got) != rows(want):
        return 1.0
    return max((_missing(read(got, row), read(want, row)) for row in range(rows(want))), default=0.0)


def _missing(one: Found, other: Found) -> float:
    """Share of the scores of both that belongs to boxes without partner; 1 where a score is not finite."""
    total = float(one.scores.sum() + other.scores.sum())
    if not np.isfinite(total):
        return 1.0
    matched = pairs(one, other, overlap_min=SAME_OVERLAP, score_distance_max=SAME_SCORE)
    kept = float(sum(one.scores[left] + other.scores[right] for left, right in matched))
    return (total - kept) / max(total, 1.0)
