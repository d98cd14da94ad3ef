"""Exact binomial tails, and what follows from them: bounds on a share of which only a few trials are known.

The bounds are those of Clopper and Pearson (1934, Biometrika 26:404-413): they hold for any number of trials, also where nothing
went wrong. The number of misses that a sample may have is that of distribution-free tolerance limits (Wilks 1941, Ann. Math.
Statist. 12:91-96).
"""

import math

from isthmus.contract.metric import Metric

_HALVINGS = 60
"""A double has 53 bits."""


def at_least(successes: int, trials: int, chance: float) -> float:
    """Chance of so many successes or more in independent trials.

    >>> at_least(1, 2, 0.5), at_least(0, 5, 0.1), at_least(3, 2, 0.5)
    (0.75, 1.0, 0.0)
    """
    if successes <= 0:
        return 1.0
    if successes > trials or chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
    if successes > trials / 2:
        return min(1.0, math.fsum(_exactly(count, trials, chance) for count in range(successes, trials + 1)))
    return max(0.0, 1.0 - math.fsum(_exactly(count, trials, chance) for count in range(successes)))


def _exactly(successes: int, trials: int, chance: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    return math.exp(ways + successes * math.log(chance) + (trials - successes) * math.log1p(-chance))


def lower_bound(successes: int, trials: int, confidence: float) -> float:
    """One-sided lower bound on the share of which `successes` of `trials` were drawn; 0 without a success.

    >>> round(lower_bound(299, 299, 0.95), 4), round(lower_bound(9, 10, 0.95), 4)
    (0.99, 0.6058)
    """
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_least(successes, trials, middle) < 1 - confidence else (low, middle)
    return low


def interval(name: str, successes: int, trials: int) -> Metric:
    """A share with its two-sided 95% interval; without trials the value is 0 and the interval 0 to 1.

    >>> interval("recall", 5, 5)  # doctest: +ELLIPSIS
    Metric(name='recall', value=1.0, low=0.478..., high=1.0)
    """
    if trials == 0:
        return Metric(name=name, value=0.0, low=0.0, high=1.0)
    share = successes / trials
    low, high = lower_bound(successes, trials, 0.975), 1.0 - lower_bound(trials - successes, trials, 0.975)
    return Metric(name=name, value=share, low=min(low, share), high=max(high, share))


def misses_allowed(trials: int, share_min: float, confidence: float) -> int | None:
    """The most misses with which `trials` still show a share of at least `share_min`; None where not even none would do.

    >>> misses_allowed(298, 0.99, 0.95), misses_allowed(299, 0.99, 0.95), misses_allowed(473, 0.99, 0.95)
    (None, 0, 1)
    """
    allowed = None
    for misses in range(trials):
        if lower_bound(trials - misses, trials, confidence) < share_min:
            return allowed
        allowed = misses
    return allowed


def trials_needed(share_min: float, confidence: float) -> int:
    """The fewest trials, all of them successes, that show a share of at least `share_min`.

    >>> trials_needed(0.99, 0.95), trials_needed(0.9, 0.95)
    (299, 29)
    """
    return math.ceil(math.log(1 - confidence) / math.log(share_min))
