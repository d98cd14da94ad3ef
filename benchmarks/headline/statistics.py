"""How sure the figures are: shares with intervals, differences in pairs, and distances from the teacher.

Every contender answers the same photos as the teacher of its fold, so that differences are taken photo by photo. Folds are
clusters: the photos of one share a teacher and a training. The bootstrap therefore draws folds with replacement and then
photos within each (Davison and Hinkley 1997, "Bootstrap Methods and their Application", 3.8).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 4000
"""The bounds move by a few hundredths of a point with more."""
SEED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate.

    Attributes:
        value: of all photos.
        low, high: 95% of the draws lie between them.
        upper: 95% of the draws lie below it.
    """

    value: float
    low: float
    high: float
    upper: float


def paired(by_fold: Sequence[np.ndarray]) -> Interval:
    """Mean of one value for each photo, float[photo] of each fold, and how far it may be off.

    With one fold the photos alone are drawn: what another training would have changed is then not in the interval.
    """
    total = float(np.concatenate(list(by_fold)).mean())
    drawn = _draws([fold for fold in by_fold if len(fold)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(value=total, low=float(low), high=float(high), upper=float(np.quantile(drawn, 0.95)))


def _draws(folds: Sequence[np.ndarray]) -> np.ndarray:
    random = np.random.default_rng(SEED)
    sums, counts = np.zeros(DRAWS), np.zeros(DRAWS)
    chosen = random.integers(0, len(folds), (len(folds), DRAWS))
    for of_draw in chosen:
        for place, fold in enumerate(folds):
            here = np.flatnonzero(of_draw == place)
            if len(here):
                sums[here] += fold[random.integers(0, len(fold), (len(here), len(fold)))].sum(1)
                counts[here] += len(fold)
    return sums / counts


def correct(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float[n]: 1 where the largest of float[n, class] is the label."""
    found: np.ndarray = (logits.argmax(1) == labels).astype(float)
    return found


def divergence(teacher: np.ndarray, other: np.ndarray) -> np.ndarray:
    """float[n] nats: Kullback-Leibler divergence of the chances in float[n, class] logits from the teacher's."""
    wanted, said = _log_chances(teacher), _log_chances(other)
    found: np.ndarray = (np.exp(wanted) * (wanted - said)).sum(1)
    return found


def _log_chances(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
