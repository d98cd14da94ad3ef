"""How fast a power sensor can be read here, and how often it has something new to say."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Reads a second, and those of them that differed from the one before."""

    reads_hz: float
    new_hz: float


def measure(sensor: PowerSensor, *, seconds: float = 0.25, clock: Callable[[], float] = time.monotonic) -> Rate | None:
    """Read a sensor as fast as it goes; None when it stops answering meanwhile.

    A counter of an idle processor may move less often than it could, so `new_hz` is what was seen and not a limit.
    """
    started = now = clock()
    reads = new = 0
    last: float | None = None
    while now - started < seconds:
        try:
            value = sensor.read()
        except DeviceError:
            return None
        now = clock()
        reads += 1
        new += last is not None and value != last
        last = value
    return Rate(reads_hz=reads / (now - started), new_hz=new / (now - started))
