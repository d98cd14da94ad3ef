"""Which photos teach, which help to choose, and which are reported on.

In each split of the photos the three are disjoint. What the exporter holds out of its data is the part that helps to choose, for
the split and for its rivals alike, so that all of them learn from the very same photos.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isthmus.export.exporter import HELD_OUT_MAX, HELD_OUT_SHARE

OFFICIAL = "official"
SEED = 0
"""Of the folds, and of the exporter's held-out part; other seeds of training leave both as they are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One way to divide the photos.

    Attributes:
        name: `fold0` and so on, or `official`.
        learning: int64[n], photos that networks learn from.
        choosing: int64[n], photos of the same folds for every choice that is made.
        reporting: int64[n], photos of the left-out fold.
    """

    name: str
    learning: np.ndarray
    choosing: np.ndarray
    reporting: np.ndarray

    @property
    def given(self) -> np.ndarray:
        """What the exporter is given: photos to learn from and to choose by, in their order."""
        return np.sort(np.concatenate([self.learning, self.choosing]))


def folds(labels: np.ndarray, count: int, *, seed: int = SEED) -> np.ndarray:
    """int64[n], the fold of each photo: each class is spread over the folds, whose sizes differ by at most one.

    >>> folds(np.array([0, 0, 0, 1, 1, 1]), 3).tolist() == folds(np.array([0, 0, 0, 1, 1, 1]), 3).tolist()
    True
    """
    random = np.random.default_rng(seed)
    order = np.concatenate([random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    found = np.empty(len(labels), dtype=np.int64)
    # Dealt out like cards, class after class: what is left over of one class goes where the next one goes on.
    found[order] = np.arange(len(labels)) % count
    return found


def splits(labels: np.ndarray, official: np.ndarray, count: int) -> Iterator[Split]:
    """One split for each fold, then the collection's own."""
    of_photo = folds(labels, count)
    for index in range(count):
        yield _split(f"fold{index}", of_photo == index)
    yield _split(OFFICIAL, official)


def _split(name: str, is_reported: np.ndarray) -> Split:
    given, reporting = np.flatnonzero(~is_reported), np.flatnonzero(is_reported)
    learning, choosing = held_out(len(given))
    return Split(name=name, learning=given[learning], choosing=given[choosing], reporting=reporting)


def held_out(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the photos that the exporter learns from, and of those that it holds out, of `count` that it is given."""
    order = np.random.default_rng(SEED).permutation(count)
    kept = max(1, round(count * min(HELD_OUT_SHARE, HELD_OUT_MAX / count)))
    return np.sort(order[kept:]), np.sort(order[:kept])
