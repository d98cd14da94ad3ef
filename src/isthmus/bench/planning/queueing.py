"""How long a frame waits for a server that others use too.

Frames of many devices come independently of one another (Poisson), each takes an instance for the same time, and a free one takes
the next: M/D/c. Waits grow with the service time, so one simulation in units of it serves all; its seed makes it the same every
time.
"""

import heapq
from functools import cache

import numpy as np

from isthmus.devices.cost.table import Seconds
from isthmus.errors import UsageError

LOAD_MAX = 0.99
"""From 1 on the queue grows for ever."""
_ARRIVALS, _SETTLE = 40_000, 4_000
"""Frames simulated, and those left out at the beginning, when nothing waits yet."""


def wait(service_s: float, load: float, *, instances: int = 1) -> Seconds:
    """Time in the queue: the median with the 5th and the 95th percentile.

    Args:
        service_s: what a frame takes an instance for.
        load: part of the instances' time that frames of others take, 0 to `LOAD_MAX`.
        instances: that the server has.

    Raises:
        UsageError: the load is not in that range.
    """
    if not 0 <= load <= LOAD_MAX:
        raise UsageError(f"a load of {load:.0%} leaves no room for a frame; give one from 0% to {LOAD_MAX:.0%}")
    low, value, high = _waits_in_services(round(load, 3), instances)
    return Seconds(value=value * service_s, low=low * service_s, high=high * service_s)


@cache
def _waits_in_services(load: float, instances: int) -> tuple[float, float, float]:
    if not load:
        return 0.0, 0.0, 0.0
    random = np.random.default_rng(0)
    arrivals = np.cumsum(random.exponential(1 / (load * instances), _ARRIVALS))
    free_at = [0.0] * instances
    waits = np.empty(_ARRIVALS)
    for index, arrived in enumerate(arrivals.tolist()):
        begins = max(arrived, free_at[0])
        heapq.heapreplace(free_at, begins + 1.0)
        waits[index] = begins - arrived
    low, value, high = np.percentile(waits[_SETTLE:], (5, 50, 95))
    return float(low), float(value), float(high)
