"""Figures between 0 and 1 with their 95% intervals."""

import math

from pydantic import BaseModel, ConfigDict, Field

_Z = 1.959963984540054
"""97.5% point of the normal distribution."""


class Metric(BaseModel):
    """A share with its interval, as in every result file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


def proportion(name: str, successes: int, trials: int) -> Metric:
    """Share of successes with Wilson's score interval at 95% (Wilson 1927, JASA 22:209-212).

    Without trials the value is 0 and the interval 0 to 1: nothing is known.

    >>> proportion("accuracy", 9, 10)
    Metric(name='accuracy', value=0.9, low=0.5958499732047615, high=0.9821237869049271)
    """
    if trials == 0:
        return Metric(name=name, value=0.0, low=0.0, high=1.0)
    share = successes / trials
    spread = _Z * _Z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    # At 0 and 1 the bound is the share itself; in floats it may fall on the wrong side of it.
    low, high = min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))
    return Metric(name=name, value=share, low=low, high=high)
