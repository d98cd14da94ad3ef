"""Fewer frames when the device is hot or its battery runs low.

Each step of thrift halves the frames that are taken. Heat adds a step at every look while it lasts, and takes one back when the
device has cooled by some degrees: the kernel's own throttling would slow every frame instead, at moments of its choosing. A
battery that is being emptied sets a least step by its charge.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import structlog

from isthmus.devices import sensors
from isthmus.devices.sensors import Readings
from isthmus.errors import ConfigError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThriftSettings:
    """When to take fewer frames.

    Raises:
        ConfigError: a value is out of range.
    """

    hot_c: float = sensors.HOT_C
    cooled_c: float = 5.0
    """So far below `hot_c` a step is taken back; less would swing between two steps."""
    battery_low_share: float = 0.2
    """Below this charge every other frame is taken, below half of it every fourth."""
    steps_max: int = 3
    """At most seven of eight frames are spared: an agent that sees nothing is of no use."""
    look_s: float = 5.0
    """Temperature of a board follows its load within some ten seconds."""

    def __post_init__(self) -> None:
        if not 0 < self.hot_c < 150:
            raise ConfigError(f"the device counts as hot from {self.hot_c} degrees on; it has to be 0 to 150")
        if not 0 <= self.battery_low_share < 1:
            raise ConfigError(f"the battery counts as low below {self.battery_low_share:.0%}; it has to be 0% to 99%")


class Thrift:
    """Decides which frames are taken; looks at the sensors in a thread of its own while it is open.

    Args:
        settings: when.
        look: reads the sensors.
    """

    def __init__(self, settings: ThriftSettings, look: Callable[[], Readings] = sensors.read) -> None:
        self.readings = Readings()
        self._settings = settings
        self._look = look
        self._heat_steps = 0
        self._steps = 0
        self._count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="isthmus-sensors", daemon=True)

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def steps(self) -> int:
        """How many times the frames are halved now."""
        return self._steps

    @property
    def reason(self) -> str:
        """Why frames are spared, in words; empty while none are."""
        if not self._steps:
            return ""
        return f"1 of {1 << self._steps} frames is taken: {self._words()}"

    def takes(self) -> bool:
        """Whether the next frame is taken; every 2^steps-th one is."""
        self._count += 1
        return self._count % (1 << self._steps) == 0

    def look(self) -> None:
        """Read the sensors and decide anew."""
        now, settings = self._look(), self._settings
        self.readings = now
        if now.temperature_c is None:
            self._heat_steps = 0
        elif now.temperature_c >= settings.hot_c:
            self._heat_steps = min(settings.steps_max, self._heat_steps + 1)
        elif now.temperature_c < settings.hot_c - settings.cooled_c:
            self._heat_steps = max(0, self._heat_steps - 1)
        steps = max(self._heat_steps, self._battery_steps(now))
        if steps != self._steps:
            before, self._steps = self._steps, steps
            _log.warning("fewer frames" if steps > before else "more frames", one_of=1 << steps, because=self._words())

    def _battery_steps(self, now: Readings) -> int:
        if now.battery_share is None or not now.discharging:
            return 0
        low = self._settings.battery_low_share
        return (now.battery_share < low) + (now.battery_share < low / 2)

    def _words(self) -> str:
        heat = "" if self.readings.temperature_c is None else f"{self.readings.temperature_c:.0f} degrees"
        charge = "" if self.readings.battery_share is None else f"battery at {self.readings.battery_share:.0%}"
        return ", ".join(filter(None, [heat, charge]))

    def _watch(self) -> None:
        while not self._ended.wait(self._settings.look_s):
            self.look()
