"""What tells power or energy, whatever the chip: the fact that the energy meter samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Scope = Literal["board", "package", "part", "rail"]
"""What the sensor counts: all that goes into the board, the processor's package, a part of the package, one supply rail."""

BOARD_RAILS = frozenset({"VDD_IN", "POM_5V_IN", "5V_IN", "VIN"})
"""Labels of the rail before all others: Orin and Xavier NX; Jetson Nano as its kernel and as its manual call it (NVIDIA Jetson
Linux Developer Guide, power monitors)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSensor:
    """One power or energy sensor.

    Attributes:
        source: kind of sensor: `rapl`, `hwmon`, `iio`, `pmic`, `battery`.
        name: which one of that kind, as its driver calls it.
        scope: what it counts.
        quantity: `energy`: `read` gives joules of a counter that runs on; `power`: watts now.
        read: raises DeviceError when the sensor is gone, refuses, or says nonsense.
        rate_max_hz: faster reading gives nothing new.
        wraps_j: the counter starts anew after so many joules; None for power.
        place: where it is read, for people.
    """

    source: str
    name: str
    scope: Scope
    quantity: Literal["energy", "power"]
    read: Callable[[], float]
    rate_max_hz: float
    wraps_j: float | None = None
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A sensor that is there and cannot be used.

    Attributes:
        sensor: source and name.
        why: what happened when it was read.
        advice: what to do.
    """

    sensor: str
    why: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Sensors of one kind, or of all."""

    sensors: tuple[PowerSensor, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __add__(self, other: "Found") -> "Found":
        return Found(sensors=self.sensors + other.sensors, problems=self.problems + other.problems)


_ORDER = (("hwmon", "board"), ("iio", "board"), ("rapl", "package"), ("pmic", "rail"), ("battery", "board"), ("rapl", "board"))
"""Widest scope first, with two exceptions. A battery's chip averages over seconds, so it comes late; and RAPL's `psys` is last:
whether a board wires it, and what it then counts, is up to its maker."""


def whole(sensors: Sequence[PowerSensor]) -> tuple[PowerSensor, ...]:
    """The sensors whose sum comes nearest to what the machine takes; no part of it is counted twice.

    Rails of an INA chip without a rail before them are not summed: which ones a board maker left out is not known.
    """
    for source, scope in _ORDER:
        chosen = tuple(sensor for sensor in sensors if (sensor.source, sensor.scope) == (source, scope))
        if chosen:
            return chosen
    return ()
