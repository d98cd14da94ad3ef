"""A fleet of devices and a server, as events in virtual time.

What happens is what the programs do. A camera gives frames at its rate, a share of them passes the gate; the device does one
frame at a time, the newest frame waits, and no more than three captures of a device are unanswered; its link carries one after
the other. The server's queue is the very one of `isthmus serve`, in which devices take turns; a free instance takes the next
frame. Service times scatter as they were measured. Left out are batches, which only make light tails quicker.
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from isthmus.contract.limits import DEFAULT
from isthmus.devices.cost.table import Seconds
from isthmus.tail.admission.fair import FairQueue

FRAMES, FRAMES_EACH = 12_000, 12
"""Frames that are simulated in all, and of each device at least: some hundred lie beyond the 95th percentile."""
SETTLED = 0.2
"""Share of the time at the beginning that does not count: queues fill."""
_DEVIATIONS = 2 * 1.645
"""Of a normal distribution, from the 5th percentile to the 95th."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Who asks.

    Attributes:
        devices: how many.
        fps: frames a second of each camera.
        pass_share: of them pass the gate, 0 to 1, independently of one another.
        p95_s: wanted from capture to answer; None: half as much again as with a server of its own.
    """

    devices: int
    fps: float
    pass_share: float = 1.0
    p95_s: float | None = None

    @property
    def frames_per_s(self) -> float:
        """That reach the server in all, if none is lost."""
        return self.devices * self.fps * self.pass_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one frame takes.

    Attributes:
        device_s: of its device.
        sending_s: of its device's way up.
        service: of an instance of the server.
        beside_s: round trip, answer and threads.
        loop_s: of the server's own loop, beside the instances.
    """

    device_s: float
    sending_s: float
    service: Seconds
    beside_s: float
    loop_s: float

    @property
    def alone_s(self) -> float:
        """From capture to answer where nobody else asks."""
        return self.device_s + self.sending_s + self.service.value + self.beside_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a server of so many instances comes to.

    Attributes:
        p50_s, p95_s: from capture to answer; infinite where nothing was answered.
        queue_p95_s: of that in the server's queue.
        lost_share: of the frames that passed the gate.
        busy_share: of the instances' time.
    """

    instances: int
    p50_s: float
    p95_s: float
    queue_p95_s: float
    lost_share: float
    busy_share: float


def simulate(taken: Demand, fleet: Fleet, instances: int, *, seed: int = 0) -> Outcome:
    """Run a fleet against a server of so many instances."""
    return _Run(taken, fleet, instances, seed).run()


@dataclass(slots=True)
class _Device:
    """State of one device; times in seconds."""

    waiting_s: float | None = None
    """When the frame was captured that waits."""
    is_busy: bool = False
    in_flight: int = 0
    link_free_s: float = 0.0


@dataclass(slots=True)
class _Frame:
    device: int
    captured_s: float
    arrived_s: float = 0.0
    queue_s: float = 0.0


class _Run:
    """One simulation."""

    def __init__(self, taken: Demand, fleet: Fleet, instances: int, seed: int) -> None:
        self._taken, self._fleet, self._instances = taken, fleet, instances
        self._random = random.Random(seed)
        self._deviation = _deviation(taken.service)
        self._devices = [_Device() for _ in range(fleet.devices)]
        self._queue: FairQueue[_Frame] = FairQueue(count_max=1 << 40, bytes_max=1 << 60)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now_s = 0.0
        self._free = instances
        self._end_s = max(FRAMES / fleet.frames_per_s, FRAMES_EACH / (fleet.fps * fleet.pass_share))
        self._passed = self._lost = 0
        self._busy_s = 0.0
        self._latencies_s: list[float] = []
        self._queues_s: list[float] = []

    def run(self) -> Outcome:
        """To the end; frames that are not answered by then are left out."""
        for index in range(self._fleet.devices):
            # Cameras are not in step.
            self._at(self._random.uniform(0, 1 / self._fleet.fps), partial(self._capture, index))
        while self._events and self._events[0][0] <= self._end_s:
            self._now_s, _, happens = heapq.heappop(self._events)
            happens()
        p50_s, p95_s = _percentiles(self._latencies_s, (50, 95))
        return Outcome(
            instances=self._instances,
            p50_s=p50_s,
            p95_s=p95_s,
            queue_p95_s=_percentiles(self._queues_s, (95,))[0],
            lost_share=self._lost / max(1, self._passed),
            busy_share=min(1.0, self._busy_s / (self._end_s * self._instances)),
        )

    def _at(self, time_s: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._order), happens))

    @property
    def _counts(self) -> bool:
        return self._now_s >= SETTLED * self._end_s

    def _capture(self, index: int) -> None:
        self._at(self._now_s + 1 / self._fleet.fps, partial(self._capture, index))
        if self._random.random() >= self._fleet.pass_share:
            return
        device = self._devices[index]
        if self._counts:
            self._passed += 1
            self._lost += device.waiting_s is not None
        device.waiting_s = self._now_s
        self._begin(index)

    def _begin(self, index: int) -> None:
        """Let a device take the frame that waits, if it may."""
        device = self._devices[index]
        if device.is_busy or device.waiting_s is None or device.in_flight >= DEFAULT.captures_in_flight:
            return
        frame, device.waiting_s = _Frame(index, device.waiting_s), None
        device.is_busy = True
        device.in_flight += 1
        self._at(self._now_s + self._taken.device_s, partial(self._computed, frame))

    def _computed(self, frame: _Frame) -> None:
        device = self._devices[frame.device]
        device.is_busy = False
        device.link_free_s = max(self._now_s, device.link_free_s) + self._taken.sending_s
        self._at(device.link_free_s, partial(self._arrived, frame))
        self._begin(frame.device)

    def _arrived(self, frame: _Frame) -> None:
        frame.arrived_s = self._now_s
        self._queue.put(frame, client=frame.device)
        self._serve()

    def _serve(self) -> None:
        while self._free and (frame := self._queue.take(self._taken.service.value)) is not None:
            self._free -= 1
            frame.queue_s = self._now_s - frame.arrived_s
            service_s = self._taken.service.value * math.exp(self._random.gauss(0.0, self._deviation))
            self._busy_s += service_s
            self._at(self._now_s + service_s, partial(self._served, frame))

    def _served(self, frame: _Frame) -> None:
        self._free += 1
        self._serve()
        self._at(self._now_s + self._taken.beside_s, partial(self._answered, frame))

    def _answered(self, frame: _Frame) -> None:
        if self._counts:
            self._latencies_s.append(self._now_s - frame.captured_s)
            self._queues_s.append(frame.queue_s)
        self._devices[frame.device].in_flight -= 1
        self._begin(frame.device)


def _deviation(service: Seconds) -> float:
    """Of the logarithm of a service time."""
    return math.log(service.high / service.low) / _DEVIATIONS if 0 < service.low < service.high else 0.0


def _percentiles(values: list[float], ranks: tuple[int, ...]) -> list[float]:
    return [float(value) for value in np.percentile(values, ranks)] if values else [math.inf] * len(ranks)
