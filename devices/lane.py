"""One direction of a slow link, as a schedule.

A lane is the bottleneck that all connections share: segments are sent one after the other, in order of arrival, each
taking its bits over the rate, or the time that a trace (`rate_trace`) lets it take. A segment that has been sent then
travels in the delay line of its connection, which keeps order. Nothing here knows of sockets; time comes in as a clock.

Theory of operation: every time is computed from earlier computed times, never from when a timer fired, so a late timer
delays one delivery and does not add up. The schedule is not made ahead of the segment being sent, so a new profile takes
effect on bytes that already wait.
"""

import enum
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from isthmus.devices.link import LinkProfile

# What fits into one TCP segment of a 1500-byte packet with timestamps.
SEGMENT_BYTES = 1448
# On fast links one timer per packet is more than Python can serve; segments then last this long.
SEGMENT_S = 100e-6
# What waits at the bottleneck before the sender is stopped: a home router's order of size, half a second at 1 Mbit/s.
QUEUE_BYTES = 64 * 1024
# In place of the bandwidth-delay product where the rate has no limit.
UNLIMITED_BYTES = 4 * 1024 * 1024
# Real jitter is correlated (radio schedulers, queues of others): one draw holds this long. One draw for each segment
# would give long messages the worst of many draws.
JITTER_HOLD_S = 0.010


class Ending(enum.Enum):
    """How a byte stream ends; it queues behind the bytes before it."""

    FINISHED = enum.auto()
    ABORTED = enum.auto()


class Timer(Protocol):
    """A pending call."""

    def cancel(self) -> None:
        """Forget the call."""


class Clock(Protocol):
    """What a schedule needs of an asyncio loop; `timer.LoopClock` gives it."""

    def time(self) -> float:
        """Seconds of a clock that only goes forward."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call back once `time()` has reached `when`."""


class Lane:
    """The bottleneck of one direction.

    Attributes:
        passed_bytes: bytes delivered at the far end so far, over all connections.
        is_open: False while the link is down.
    """

    def __init__(self, clock: Clock, profile: LinkProfile, *, seed: int | None = None) -> None:
        self.clock = clock
        self.passed_bytes = 0
        self.is_open = True
        self._profile = profile
        self._since_s = clock.time()
        self._queue: deque[tuple[float, DelayLine, bytes | Ending]] = deque()
        self._lines: set[DelayLine] = set()
        self._free_at_s = -math.inf
        self._timer: Timer | None = None
        self._random = random.Random(seed)
        self._jitter_s = 0.0
        self._jitter_until_s = -math.inf

    @property
    def round_trip_s(self) -> float:
        """Delay of a round trip, jitter aside."""
        return self._profile.round_trip_s

    @property
    def limit_bytes(self) -> int:
        """Most bytes that one connection may hold in this direction before its sender is stopped."""
        rate_bit_s = self._profile.mean_rate_bit_s
        if rate_bit_s is None:
            return UNLIMITED_BYTES
        longest_s = self._profile.one_way_s + self._profile.jitter_s / 2
        return QUEUE_BYTES + min(UNLIMITED_BYTES, int(rate_bit_s / 8 * longest_s))

    def set_profile(self, profile: LinkProfile) -> None:
        """Send what waits by another rate and delay; what already travels keeps its time. A trace begins now."""
        self._profile = profile
        self._since_s = self.clock.time()
        self._jitter_until_s = -math.inf
        self._send_due()

    def set_open(self, is_open: bool) -> None:
        """Let bytes pass, or hold them where they are."""
        if is_open == self.is_open:
            return
        self.is_open = is_open
        # The time of the outage is no credit.
        self._free_at_s = max(self._free_at_s, self.clock.time())
        self._send_due()
        for line in tuple(self._lines):
            line.deliver_due()

    def add(self, line: "DelayLine") -> None:
        """Let a line be woken when the link comes up."""
        self._lines.add(line)

    def put(self, line: "DelayLine", item: bytes | Ending) -> None:
        """Queue bytes, or the end of them, for a line."""
        now_s = self.clock.time()
        for part in self._segments(item):
            self._queue.append((now_s, line, part))
        if self._timer is None:
            self._send_due()

    def remove(self, line: "DelayLine") -> None:
        """Drop a line and all that it has queued."""
        self._lines.discard(line)
        kept = deque(entry for entry in self._queue if entry[1] is not line)
        if len(kept) == len(self._queue):
            return
        self._queue = kept
        # What was half sent has used its time.
        self._free_at_s = max(self._free_at_s, self.clock.time())
        self._send_due()

    def _segments(self, item: bytes | Ending) -> list[bytes] | list[Ending]:
        if isinstance(item, Ending):
            return [item]
        rate_bit_s = self._profile.mean_rate_bit_s
        size = len(item) if rate_bit_s is None else max(SEGMENT_BYTES, int(rate_bit_s / 8 * SEGMENT_S))
        return [item[start : start + size] for start in range(0, len(item), size)]

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_due(self) -> None:
        self._cancel_timer()
        while self._queue and self.is_open:
            arrived_s, line, item = self._queue[0]
            sent_s = self._sent_at(max(self._free_at_s, arrived_s), item)
            if sent_s > self.clock.time():
                # A delivery can close a line and so have come here already; one timer is enough.
                self._cancel_timer()
                self._timer = self.clock.call_at(sent_s, self._send_due)
                return
            self._queue.popleft()
            self._free_at_s = sent_s
            line.travel(item, sent_s + self._delay_s(sent_s))

    def _sent_at(self, start_s: float, item: bytes | Ending) -> float:
        """When the item has been sent whose turn comes at `start_s`."""
        trace, rate_bit_s = self._profile.trace, self._profile.rate_bit_s
        if trace is not None:
            # What was queued before the profile took effect is sent by it too, but not before.
            begun_s = self._since_s - self._profile.trace_offset_s
            return trace.sent_at(max(start_s, self._since_s) - begun_s, _size(item)) + begun_s
        return start_s if rate_bit_s is None else start_s + _size(item) * 8 / rate_bit_s

    def _delay_s(self, sent_s: float) -> float:
        if sent_s >= self._jitter_until_s:
            # Half of it each way; the two directions draw for themselves.
            self._jitter_s = self._random.uniform(-0.5, 0.5) * self._profile.jitter_s
            self._jitter_until_s = sent_s + JITTER_HOLD_S
        return self._profile.one_way_s + self._jitter_s


class DelayLine:
    """One connection's part of a lane: what it has sent arrives later, in order.

    Attributes:
        held_bytes: bytes given to `put` and not delivered yet.
    """

    def __init__(self, lane: Lane, deliver: Callable[[bytes | Ending], None]) -> None:
        self.held_bytes = 0
        self._lane = lane
        self._deliver = deliver
        self._travelling: deque[tuple[float, bytes | Ending]] = deque()
        self._timer: Timer | None = None
        lane.add(self)

    @property
    def limit_bytes(self) -> int:
        """See `Lane.limit_bytes`."""
        return self._lane.limit_bytes

    def put(self, item: bytes | Ending) -> None:
        """Send bytes, or the end of them, over the lane."""
        self.held_bytes += _size(item)
        self._lane.put(self, item)

    def travel(self, item: bytes | Ending, arrives_s: float) -> None:
        """Take what the lane has sent; it is delivered at `arrives_s`, or later if that would overtake."""
        self._travelling.append((arrives_s, item))
        if self._timer is None:
            self.deliver_due()

    def deliver_due(self) -> None:
        """Deliver what has arrived by now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._travelling and self._lane.is_open:
            arrives_s, item = self._travelling[0]
            if arrives_s > self._lane.clock.time():
                self._timer = self._lane.clock.call_at(arrives_s, self.deliver_due)
                return
            self._travelling.popleft()
            self.held_bytes -= _size(item)
            self._lane.passed_bytes += _size(item)
            self._deliver(item)

    def close(self) -> None:
        """Drop what is queued and what travels."""
        self._lane.remove(self)
        self._travelling.clear()
        self.held_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _size(item: bytes | Ending) -> int:
    return 0 if isinstance(item, Ending) else len(item)
