"""What one contender said to every photo, beside what the unsplit network said: accuracy, agreement, what was lost, bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from benchmarks.headline import predictions, statistics
from benchmarks.headline.plots import Dot, marked
from benchmarks.headline.statistics import Interval

from isthmus.contract.metric import Metric, proportion

BY_PHOTO = ("photos", "correct", "unsplit", "agrees", "sizes")
"""Attributes of a contender with one entry for each photo."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contender:
    """What one contender said.

    Attributes:
        family: `unsplit`, `split`, `local`, or a codec.
        setting, variant: which one of them.
        share: of the network's multiply-adds that the device computes; of a picture 0.
        photos: int64[n], ascending.
        correct, unsplit: float[n], 1 where it, and the unsplit network, was right.
        agrees: float[n], 1 where both say the same class.
        sizes: int64[n] bytes.
        bare: mean bytes without containers, of pictures.
    """

    family: str
    setting: str
    variant: str
    share: float
    photos: np.ndarray
    correct: np.ndarray
    unsplit: np.ndarray
    agrees: np.ndarray
    sizes: np.ndarray
    bare: float | None = None

    def on(self, photos: np.ndarray) -> "Contender":
        """The same on some of its photos."""
        kept = np.isin(self.photos, photos)
        return replace(self, **{name: getattr(self, name)[kept] for name in BY_PHOTO})

    @property
    def accuracy(self) -> Metric:
        """Top-1 with Wilson's interval."""
        return proportion("top-1", int(self.correct.sum()), len(self.correct))

    @property
    def agreement(self) -> Metric:
        """With the unsplit network, the same."""
        return proportion("agreement", int(self.agrees.sum()), len(self.agrees))

    @property
    def drop(self) -> Interval:
        """Top-1 lost, photo by photo."""
        return statistics.paired([self.unsplit - self.correct])

    @property
    def measured(self) -> list[str]:
        """Cells of a table: top-1 and points lost with their intervals, agreement."""
        top, lost = self.accuracy, self.drop
        return [
            percent(top),
            f"{100 * lost.value:.1f} ({100 * lost.low:.1f} to {100 * lost.high:.1f})",
            f"{self.agreement.value:.1%}",
        ]

    @property
    def bytes_mean(self) -> float:
        """Of a photo."""
        return float(self.sizes.mean())


def percent(metric: Metric) -> str:
    """A share with its interval, in words."""
    return f"{metric.value:.1%} ({100 * metric.low:.1f} to {100 * metric.high:.1f})"


def dots(found: Sequence[Contender], *, with_interval: bool = False) -> list[Dot]:
    """Top-1 against bytes."""
    return marked(
        [
            Dot(
                x=one.bytes_mean,
                y=one.accuracy.value,
                tip=f"{one.family}, {one.setting}: {one.accuracy.value:.1%}, {one.bytes_mean:.0f} bytes, head {one.share:.1%}",
                low=one.accuracy.low if with_interval else None,
                high=one.accuracy.high if with_interval else None,
            )
            for one in found
        ]
    )


def contender_of(
    told: Mapping[str, Any], said: predictions.Predictions, unsplit: predictions.Predictions, labels: np.ndarray, share: float
) -> Contender:
    """Out of a line of facts.

    Args:
        told: see `headline.stages.contender`.
        said: by the contender.
        unsplit: what the unsplit network said, to at least these photos.
        labels: int64[photo] of all photos.
        share: see `Contender`.
    """
    wanted, truth = unsplit.part(said.photos), labels[said.photos]
    return Contender(
        family=told["family"],
        setting=told["setting"],
        variant=told["variant"],
        share=share,
        photos=said.photos,
        correct=statistics.correct(said.logits, truth),
        unsplit=statistics.correct(wanted.logits, truth),
        agrees=statistics.correct(said.logits, wanted.logits.argmax(1)),
        sizes=said.sizes,
        bare=told.get("bare"),
    )


def joined(parts: Sequence[Contender]) -> Contender:
    """One contender of what it said to several parts of the photos."""
    first = parts[0]
    order = np.argsort(np.concatenate([one.photos for one in parts]))

    def together(name: str) -> np.ndarray:
        found: np.ndarray = np.concatenate([getattr(one, name) for one in parts])[order]
        return found

    return replace(first, **{name: together(name) for name in BY_PHOTO})
