"""What one client uses, and its turn to send.

A device may send as many captures as it holds credits for, so a device stream is paced by giving its credits later: nothing is
refused, no frame is encoded in vain, and the newest frame waits on the device and not in a socket. Credits that have to wait are
given in the order in which they were asked for, one timer for each client. A call without credits (`admit`) is refused with the
time after which it would pass.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Protocol

from isthmus.errors import QuotaExceeded
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.admission.pace import Pace

STREAM_RETRY_MS = 1000
"""A stream lives for minutes; a second is soon enough to ask again for a place."""
IN_FLIGHT_RETRY_MS = 20
"""About the time in which one of a few dozen frames in flight is answered."""


TIMER_MIN_S = 0.001
"""The event loop counts milliseconds; less would only spin."""


class Creditor(Protocol):
    """Whoever sends captures against credits: a device stream."""

    def credit(self) -> None:
        """One more capture may be sent."""


def call_later(delay_s: float, call: Callable[[], None]) -> None:
    """Call on the running event loop."""
    asyncio.get_running_loop().call_later(delay_s, call)


class Client:
    """One client; only the event loop touches it.

    Args:
        name: tells it from other clients.
        limits: what it may use.
        clock: seconds, monotonic.
        later: calls a function after so many seconds.
    """

    def __init__(
        self,
        name: str,
        limits: ClientLimits,
        *,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], None] = call_later,
    ) -> None:
        self.name = name
        self.streams = 0
        """Device streams that are open."""
        self.in_flight = 0
        """Captures and calls that are not answered yet; whoever takes one counts it here."""
        self.delayed = 0
        """Credits that had to wait, and calls refused for the rate."""
        self._limits = limits
        self._clock = clock
        self.later = later
        """Calls a function after so many seconds."""
        rate, volume = limits.rate_per_s, limits.bytes_per_s
        self._rate = None if rate is None else Pace(rate, limits.burst_captures)
        self._volume = None if volume is None else Pace(volume, volume)
        self._waiting: deque[Creditor] = deque()
        self._timer_runs = False

    @property
    def is_idle(self) -> bool:
        """Whether a new client would be treated no worse."""
        now = self._clock()
        used = self.streams or self.in_flight or self._waiting
        return not used and all(pace is None or pace.is_full(now) for pace in (self._rate, self._volume))

    def open_stream(self) -> None:
        """Count a device stream; `close_stream` counts it off.

        Raises:
            QuotaExceeded: it has as many as it may.
        """
        streams_max = self._limits.streams
        if streams_max is not None and self.streams >= streams_max:
            raise QuotaExceeded(
                f"this client has {self.streams} streams, {streams_max} are allowed; close one, or come back later",
                retry_after_ms=STREAM_RETRY_MS,
            )
        self.streams += 1

    def close_stream(self) -> None:
        """A device stream has ended."""
        self.streams -= 1

    def forget(self, creditor: Creditor) -> None:
        """Give it no more credits."""
        if self._waiting:
            self._waiting = deque(waiting for waiting in self._waiting if waiting is not creditor)

    def ask(self, creditor: Creditor) -> None:
        """Give one credit, at once where the rate allows it."""
        now = self._clock()
        if not self._waiting and not self._wait_s(now):
            self._spend_one(now)
            creditor.credit()
            return
        self.delayed += 1
        self._waiting.append(creditor)
        self._set_timer(now)

    def spend(self, size_bytes: int) -> None:
        """A capture of that size came; its credit was paid when it was given."""
        if self._volume is not None:
            self._volume.spend(self._clock(), size_bytes)

    def check_in_flight(self) -> None:
        """Check what is in flight, this capture included.

        Raises:
            QuotaExceeded: it is more than the client may have.
        """
        most = self._limits.in_flight
        if most is not None and self.in_flight > most:
            raise QuotaExceeded(
                f"this client has {self.in_flight} frames unanswered, {most} are allowed; try again in {IN_FLIGHT_RETRY_MS} ms",
                retry_after_ms=IN_FLIGHT_RETRY_MS,
            )

    def admit(self, size_bytes: int) -> None:
        """Take one call without credits; count it in `in_flight` while it runs.

        Raises:
            QuotaExceeded: the client is too fast, or has too much in flight; nothing was charged.
        """
        now = self._clock()
        # Whoever waits for credits was here first.
        wait_s = self._wait_s(now)
        if wait_s or self._waiting:
            self.delayed += 1
            hint_ms = max(1, ceil(wait_s * 1000))
            raise QuotaExceeded(f"this client sends more than it may; try again in {hint_ms} ms", retry_after_ms=hint_ms)
        self.in_flight += 1
        try:
            self.check_in_flight()
        finally:
            self.in_flight -= 1
        self._spend_one(now)
        self.spend(size_bytes)

    def _wait_s(self, now: float) -> float:
        rate = 0.0 if self._rate is None else self._rate.wait_s(now)
        return rate if self._volume is None else max(rate, self._volume.wait_s(now))

    def _spend_one(self, now: float) -> None:
        if self._rate is not None:
            self._rate.spend(now)

    def _set_timer(self, now: float) -> None:
        if not self._timer_runs:
            self._timer_runs = True
            self.later(max(self._wait_s(now), TIMER_MIN_S), self._give)

    def _give(self) -> None:
        """Give the credits whose time has come."""
        self._timer_runs = False
        now = self._clock()
        while self._waiting and not self._wait_s(now):
            self._spend_one(now)
            self._waiting.popleft().credit()
        if self._waiting:
            self._set_timer(now)
