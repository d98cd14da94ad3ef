"""Sensors that say what a test wants, on a clock that the test moves."""

from collections.abc import Callable

import pytest

from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError


class Machine:
    """A machine that takes so many watts; its counter starts anew after `wraps_j`, its clock moves with `passes`."""

    def __init__(self, *, watts: float = 2.0, wraps_j: float = 65_000.0, counted_j: float = 0.0) -> None:
        self.time_s = 0.0
        self.watts = watts
        self.wraps_j = wraps_j
        self.counted_j = counted_j
        self.broken = ""
        self.reads = 0

    def passes(self, seconds: float) -> None:
        """Let time go by."""
        self.time_s += seconds
        self.counted_j = (self.counted_j + self.watts * seconds) % self.wraps_j

    def clock(self) -> float:
        """Seconds."""
        return self.time_s

    def sensor(self, quantity: str = "energy", *, rate_max_hz: float = 1000.0) -> PowerSensor:
        """A counter, or a sensor of power."""

        def read() -> float:
            if self.broken:
                raise DeviceError(self.broken)
            self.reads += 1
            # Power flickers, as it does; a value that stands still is a chip that has nothing new to say.
            return self.counted_j if quantity == "energy" else self.watts + 0.01 * (self.reads % 2)

        is_counter = quantity == "energy"
        return PowerSensor(
            source="rapl" if is_counter else "hwmon",
            name="package-0" if is_counter else "VDD_IN",
            scope="package" if is_counter else "board",
            quantity="energy" if is_counter else "power",
            read=read,
            rate_max_hz=rate_max_hz,
            wraps_j=self.wraps_j if is_counter else None,
        )


@pytest.fixture
def make_machine() -> Callable[..., Machine]:
    """See `Machine`."""
    return Machine
