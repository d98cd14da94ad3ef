"""A bundle on trial proves itself by answers; how long it may fail to."""

import threading
import time
from collections.abc import Callable

from isthmus.head.record import Record

EXCUSED = frozenset({"link", "newer", "gate", "spared", "stopped", "filter", "queue"})
"""Reasons for which a frame has no answer, or the device's own, that say nothing of the bundle."""


class Probation:
    """A sink for the records of one bundle; safe to use from any thread.

    A still scene proves nothing, and neither does a link that is down: time counts from the first frame since the latest good
    answer that the bundle itself failed to have answered.

    Args:
        answers: good ones that are needed.
        patience_s: without a good answer, from the first failure on.
        clock: seconds, monotonic.
    """

    def __init__(self, *, answers: int, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._answers = answers
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._good = 0
        self._failed = 0
        self._failing_since: float | None = None
        self._last = ""

    def write(self, record: Record) -> None:
        """Count one record."""
        reason = record.reason or record.fallback
        with self._lock:
            if not reason:
                self._good += 1
                self._failed, self._failing_since = 0, None
            elif reason not in EXCUSED:
                self._failed += 1
                self._failing_since = self._failing_since or self._clock()
                self._last = f"{reason} {record.detail}".strip()

    def close(self) -> None:
        """Nothing to finish."""

    @property
    def proved(self) -> bool:
        """Whether it has answered enough."""
        return self._good >= self._answers

    @property
    def failure(self) -> str:
        """Why it has to be given up; empty while there is no reason to."""
        with self._lock:
            if self._failing_since is None:
                return ""
            failing_s = self._clock() - self._failing_since
            if failing_s < self._patience_s:
                return ""
            return f"{self._failed} frames in {failing_s:.0f} s had no answer; the last one: {self._last}"
