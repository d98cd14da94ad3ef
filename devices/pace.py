"""Before something is measured: work until times settle, wait until the machine is cool."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from isthmus.devices.sensors import readings
from isthmus.devices.sensors.readings import HOT_C, Readings

WINDOW = 3
"""Times whose median is compared with that of as many before: one slow answer must not count as unsettled."""
SETTLED_SHARE = 0.1
"""Medians that differ by less count as the same; single-stream latencies of a quiet machine scatter by some percent."""
COOL_BELOW_HOT_C = 10.0
"""A run that begins so far below the temperature at which devices slow down has room to warm up in."""
COOL_TIMEOUT_S = 120.0
"""A board in still air loses some ten degrees in two minutes; one that does not is hot for another reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How a warm-up ended.

    Attributes:
        runs: how often the work was done.
        settled: whether its times had stopped changing.
    """

    runs: int
    settled: bool


def warm_up(work: Callable[[], float], *, least: int = 3, most: int = 12) -> WarmUp:
    """Do work until its times settle.

    Args:
        work: does it once and gives the seconds it took.
        least: do it so often in any case: sessions allocate, TCP opens its window.
        most: then give up.
    """
    times: list[float] = []
    while len(times) < most:
        times.append(work())
        if len(times) >= max(least, 2 * WINDOW) and _is_settled(times):
            return WarmUp(runs=len(times), settled=True)
    return WarmUp(runs=len(times), settled=False)


def cool_down(
    *,
    below_c: float = HOT_C - COOL_BELOW_HOT_C,
    timeout_s: float = COOL_TIMEOUT_S,
    look: Callable[[], Readings] = readings.read,
    sleep: Callable[[float], None] = time.sleep,
    look_s: float = 2.0,
) -> bool:
    """Wait until the machine is cool; at once where it has no sensor.

    Returns:
        False where it was still too warm when time was up.
    """
    waited_s = 0.0
    while (felt_c := look().temperature_c) is not None and felt_c >= below_c:
        if waited_s >= timeout_s:
            return False
        sleep(look_s)
        waited_s += look_s
    return True


def _is_settled(times: list[float]) -> bool:
    now, before = median(times[-WINDOW:]), median(times[-2 * WINDOW : -WINDOW])
    return abs(now - before) <= SETTLED_SHARE * max(now, before)
