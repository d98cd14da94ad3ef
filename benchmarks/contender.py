"""What one contender said to every photo, beside what the unsplit network said: accuracy, agreement, what was lost, bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.headline import predictions, statistics
from benchmarks.headline.statistics import Interval

from isthmus.contract.metric import Metric, proportion


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
        parts = (self.photos, self.correct, self.unsplit, self.agrees, self.sizes)
        picked = dict(zip(("photos", "correct", "unsplit", "agrees", "sizes"), (part[kept] for part in parts), strict=True))
        told = {"family": self.family, "setting": self.setting, "variant": self.variant, "share": self.share, "bare": self.bare}
        return Contender(**told, **picked)  # type: ignore[arg-type]

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
    def bytes_mean(self) -> float:
        """Of a photo."""
        return float(self.sizes.mean())


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

    named = {name: together(name) for name in ("photos", "correct", "unsplit", "agrees", "sizes")}
    told = {"family": first.family, "setting": first.setting, "variant": first.variant, "share": first.share, "bare": first.bare}
    return Contender(**told, **named)  # type: ignore[arg-type]
