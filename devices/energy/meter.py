"""A thread that samples power sensors at a known rate.

with EnergyMeter(sensors) as meter:
    before = meter.idle(2.0)
    started = meter.now()
    ...
    work = meter.energy(started, meter.now())
    after = meter.idle(2.0)
above_idle(work, before, after).per_inference(count)
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

from isthmus.devices.energy.quantity import Energy
from isthmus.devices.energy.trace import Trace
from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError

RATE_HZ = 100.0
"""Unless another is asked for: a counter loses nothing between samples, so only the ends of an interval gain from more, and the
thread's own work, some 20 us a sample, stays far below a percent of a core."""
LOST_AFTER = 50
"""Samples in a row without an answer after which a sensor counts as gone."""
SENSOR_NOTE = "the sensor's own error is not included"


class EnergyMeter:
    """Samples sensors while it is open.

    Args:
        sensors: of one source and scope, see `power.whole`.
        rate_hz: samples a second; the slowest sensor's own rate where that is lower, and `RATE_HZ` at most when None.
        clock: seconds that only rise.
        wait: waits for so many seconds or until the event is set.

    Raises:
        DeviceError: no sensors.
    """

    def __init__(
        self,
        sensors: Sequence[PowerSensor],
        *,
        rate_hz: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        if not sensors:
            raise DeviceError("no sensor tells power here; `isthmus device sensors` says what is missing")
        self.sensors = tuple(sensors)
        self.rate_hz = min(rate_hz or RATE_HZ, *(sensor.rate_max_hz for sensor in sensors))
        self._clock = clock
        self._wait = wait
        self._trace = Trace(self.sensors, rate_hz=self.rate_hz)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._in_a_row = 0
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="isthmus-energy", daemon=True)

    def __enter__(self) -> Self:
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def now(self) -> float:
        """Seconds of the meter's clock."""
        return self._clock()

    def sample(self) -> bool:
        """Read all sensors once; False where one of them does not answer, or says what cannot be."""
        try:
            started = self._clock()
            readings = [sensor.read() for sensor in self.sensors]
            with self._lock:
                # The middle of the reading is nearest to when the chips were asked.
                self._trace.add((started + self._clock()) / 2, readings)
        except DeviceError as error:
            with self._lock:
                self._trace.miss()
                self._in_a_row += 1
                self._trouble = str(error)
            return False
        self._in_a_row = 0
        return True

    def energy(self, start_s: float, end_s: float) -> Energy:
        """What was taken between two moments of `now`.

        Raises:
            DeviceError: the sensors went away, or the moments lie outside of what was sampled.
        """
        if not self.sample() and self._in_a_row >= LOST_AFTER:
            raise DeviceError(f"{self.sensors[0].source} went away while it was measured: {self._trouble}")
        with self._lock:
            return self._trace.energy(start_s, end_s, note=SENSOR_NOTE)

    def idle(self, seconds: float) -> Energy:
        """Wait, and tell what was taken meanwhile; the caller sees to it that nothing else runs."""
        started = self.now()
        self._wait(self._ended, seconds)
        return self.energy(started, self.now())

    def _run(self) -> None:
        due = self._clock()
        while not self._ended.is_set() and self._in_a_row < LOST_AFTER:
            # From the time it was due, not from when it was done: the rate stays what it is said to be.
            due = max(due + 1 / self.rate_hz, self._clock() - 1 / self.rate_hz)
            self._wait(self._ended, max(0.0, due - self._clock()))
            self.sample()
