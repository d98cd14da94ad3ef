"""A rate with a burst, in two floats.

The generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling), which decides as a token bucket does without
refilling anything: `_paid_until` is when all that passed would have been worked off at the rate. What may still pass is the
distance of that time to the burst. An amount is charged after it passed and may overdraw, so a message of any size passes a
pace that has anything left, and the next one waits for longer.
"""

from math import inf


class Pace:
    """A meter; times are seconds on any monotonic clock.

    Args:
        rate_per_s: units per second.
        burst: units that may pass at once.
    """

    __slots__ = ("_burst", "_paid_until", "_rate")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._paid_until = -inf

    def wait_s(self, now: float) -> float:
        """How long until one unit may pass; 0.0 is now."""
        # A unit passes at the very moment that the wait ends, rounding or not.
        wait = self._paid_until - (self._burst - 1) / self._rate - now
        return wait if wait > 1e-9 else 0.0

    def spend(self, now: float, units: float = 1.0) -> None:
        """Something passed."""
        self._paid_until = max(now, self._paid_until) + units / self._rate

    def is_full(self, now: float) -> bool:
        """Whether nothing is left to be worked off: as good as new."""
        return self._paid_until <= now
