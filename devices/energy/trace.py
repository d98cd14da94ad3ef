"""Samples of power sensors as one running sum of energy, and energies of intervals in it.

Between two samples of a counter the sum is known at both ends and runs straight between them; between two samples of power it is
the trapezoid below them. The doubt of an interval is the sum of

* its ends: how far the straight line can be from the truth between the two samples around each of them;
* gaps: what power sensors would have had to tell while they did not answer, counted in full;
* for power, sampling: twice the standard error of the mean, for power moves between samples.

All of these are added up, not squared: they need not be independent.
"""

import bisect
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from isthmus.devices.energy.counter import advanced_j, check_gap
from isthmus.devices.energy.quantity import Energy
from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError

_GAP_PERIODS = 3.0
"""A sample so many periods late is a gap, not jitter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    time_s: float
    readings: tuple[float, ...]


class Trace:
    """Collects samples of sensors that are added up.

    Args:
        sensors: of one source and scope, at least one.
        rate_hz: at which samples are meant to come.
    """

    def __init__(self, sensors: Sequence[PowerSensor], *, rate_hz: float) -> None:
        self._sensors = tuple(sensors)
        self._gap_s = _GAP_PERIODS / rate_hz
        self._last: _Sample | None = None
        self._times_s = array("d")
        self._sums_j = array("d")
        self._new = array("L")
        """Samples so far that differed from the one before: a chip that averages tells one value several times."""
        self._powers_w = array("d")
        self._gaps: list[tuple[float, float]] = []
        self.missed = 0

    def add(self, time_s: float, readings: Sequence[float]) -> None:
        """Take one reading of every sensor, in their order.

        Raises:
            DeviceError: a counter went where none can go; nothing was taken.
        """
        sample = _Sample(time_s=time_s, readings=tuple(readings))
        last = self._last
        if last is None:
            self._append(sample, 0.0, is_new=True)
            return
        gap_s = time_s - last.time_s
        if gap_s <= 0:
            return
        added_j = sum(
            _added_j(sensor, before, now, gap_s)
            for sensor, before, now in zip(self._sensors, last.readings, sample.readings, strict=True)
        )
        if gap_s > self._gap_s:
            self._gaps.append((last.time_s, time_s))
        self._append(sample, added_j, is_new=sample.readings != last.readings)

    def miss(self) -> None:
        """A sensor did not answer this time."""
        self.missed += 1

    def energy(self, start_s: float, end_s: float, *, note: str = "") -> Energy:
        """What was taken between two moments of the clock that the samples were taken by.

        Raises:
            DeviceError: the samples do not reach around the interval.
        """
        times = self._times_s
        if not len(times) or end_s <= start_s or start_s < times[0] or end_s > times[-1]:
            reach = f"{times[0]:.3f} to {times[-1]:.3f} s" if len(times) else "none"
            raise DeviceError(f"energy from {start_s:.3f} to {end_s:.3f} s is not known; there are samples from {reach}")
        begin_j, begin_doubt_j = self._at(start_s)
        finish_j, finish_doubt_j = self._at(end_s)
        duration_s = end_s - start_s
        samples = self._new_between(start_s, end_s)
        doubt_j = begin_doubt_j + finish_doubt_j
        if self._tells_power:
            doubt_j += self._gap_j(start_s, end_s) + self._sampling_doubt_w(start_s, end_s) * duration_s
        return Energy(
            kind="measured",
            joules=finish_j - begin_j,
            doubt_j=doubt_j,
            source=" + ".join(f"{sensor.source} {sensor.name}" for sensor in self._sensors),
            scope=self._sensors[0].scope,
            rate_hz=samples / duration_s,
            samples=samples,
            duration_s=duration_s,
            note=note,
        )

    @property
    def _tells_power(self) -> bool:
        return any(sensor.quantity == "power" for sensor in self._sensors)

    def _append(self, sample: _Sample, added_j: float, *, is_new: bool) -> None:
        self._last = sample
        self._times_s.append(sample.time_s)
        self._sums_j.append((self._sums_j[-1] if len(self._sums_j) else 0.0) + added_j)
        self._new.append((self._new[-1] if len(self._new) else 0) + is_new)
        self._powers_w.append(sum(sample.readings) if self._tells_power else 0.0)

    def _at(self, time_s: float) -> tuple[float, float]:
        """The sum at a moment, and how far off it may be."""
        after = min(max(1, bisect.bisect_left(self._times_s, time_s)), len(self._times_s) - 1)
        early, late = self._times_s[after - 1], self._times_s[after]
        part = (time_s - early) / (late - early)
        step_j = self._sums_j[after] - self._sums_j[after - 1]
        return self._sums_j[after - 1] + part * step_j, 0.0 if part in (0.0, 1.0) else max(part, 1 - part) * step_j

    def _new_between(self, start_s: float, end_s: float) -> int:
        first, last = bisect.bisect_left(self._times_s, start_s), bisect.bisect_right(self._times_s, end_s) - 1
        return max(0, self._new[last] - (self._new[first - 1] if first else 0)) if last >= first else 0

    def _gap_j(self, start_s: float, end_s: float) -> float:
        found = 0.0
        for early_s, late_s in self._gaps:
            early_s, late_s = max(early_s, start_s), min(late_s, end_s)
            if early_s < late_s:
                found += self._at(late_s)[0] - self._at(early_s)[0]
        return found

    def _sampling_doubt_w(self, start_s: float, end_s: float) -> float:
        first, last = bisect.bisect_left(self._times_s, start_s), bisect.bisect_right(self._times_s, end_s)
        powers = self._powers_w[first:last]
        if len(powers) < 2:
            # One value says nothing of how power moves.
            return max(powers, default=0.0)
        count = max(1, self._new_between(start_s, end_s))
        mean = sum(powers) / len(powers)
        variance = sum((power - mean) ** 2 for power in powers) / (len(powers) - 1)
        return 2 * sqrt(variance / count)


def _added_j(sensor: PowerSensor, before: float, now: float, gap_s: float) -> float:
    if sensor.quantity == "power":
        return (before + now) / 2 * gap_s
    assert sensor.wraps_j is not None
    added_j = advanced_j(before, now, wraps_j=sensor.wraps_j)
    check_gap(gap_s, added_j, wraps_j=sensor.wraps_j)
    return added_j
