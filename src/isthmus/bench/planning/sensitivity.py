"""How the choice changes with the link and the load of the server: ranges in which one candidate is the quickest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from isthmus.bench.planning.candidate import Candidate
from isthmus.bench.planning.forecast import Forecast, Setting, forecast

Quantity = Literal["rate_bit_s", "round_trip_s", "load"]
RATES_BIT_S = tuple(float(rate) for rate in np.geomspace(10e3, 1e9, 101))
ROUND_TRIPS_S = tuple(float(seconds) for seconds in np.linspace(0.0, 0.5, 101))
LOADS = tuple(float(load) for load in np.linspace(0.0, 0.95, 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From one value to another the same candidate is the quickest; both ends are values that were tried.

    Attributes:
        best: None where nothing answers at all.
        p50_s: its latency at both ends; None where there is none.
    """

    quantity: Quantity
    start: float
    end: float
    best: Candidate | None
    p50_s: tuple[float | None, float | None]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "quantity": self.quantity,
            "from": self.start,
            "to": self.end,
            "best": None if self.best is None else {"placement": self.best.placement, "setting": self.best.setting},
            "p50_ms": [None if seconds is None else 1e3 * seconds for seconds in self.p50_s],
        }


def quickest(candidates: Sequence[Candidate], setting: Setting) -> Forecast | None:
    """The least latency in a setting; None where the link carries none of them."""
    found = [one for one in (forecast(candidate, setting) for candidate in candidates) if one.is_possible]
    return min(found, key=lambda one: one.latency.value, default=None)


def ranges(candidates: Sequence[Candidate], setting: Setting) -> list[Range]:
    """Every quantity moved alone, the others as they are.

    Args:
        candidates: those that may be chosen.
        setting: of the plan.
    """
    moved: list[tuple[Quantity, Sequence[float], Callable[[float], Setting]]] = [
        (
            "rate_bit_s",
            RATES_BIT_S,
            lambda rate: replace(setting, link=replace(setting.link, rate_bit_s=rate, trace=None, trace_file="")),
        ),
        (
            "round_trip_s",
            ROUND_TRIPS_S,
            lambda seconds: replace(setting, link=replace(setting.link, round_trip_s=seconds, jitter_s=0.0)),
        ),
        ("load", LOADS, lambda load: replace(setting, load=load)),
    ]
    # A recording has its own rates, and an unlimited link none to move.
    fixed = {"rate_bit_s"} if setting.link.mean_rate_bit_s is None else set()
    if setting.link.trace is not None:
        fixed |= {"round_trip_s", "load"}
    return [
        found for quantity, values, at in moved if quantity not in fixed for found in _ranges(candidates, quantity, values, at)
    ]


def _ranges(
    candidates: Sequence[Candidate], quantity: Quantity, values: Sequence[float], at: Callable[[float], Setting]
) -> list[Range]:
    found: list[Range] = []
    for value in values:
        best = quickest(candidates, at(value))
        chosen = None if best is None else best.candidate
        p50_s = None if best is None else best.latency.value
        if found and found[-1].best == chosen:
            found[-1] = replace(found[-1], end=value, p50_s=(found[-1].p50_s[0], p50_s))
        else:
            found.append(Range(quantity=quantity, start=value, end=value, best=chosen, p50_s=(p50_s, p50_s)))
    return found
