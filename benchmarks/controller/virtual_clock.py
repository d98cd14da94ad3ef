"""Time that passes from event to event: what the shaper's lanes need of a clock, without waiting."""

import heapq
import itertools
from collections.abc import Callable


class Call:
    """A pending call."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Forget it."""
        self.callback = None


class VirtualClock:
    """Seconds from 0 on."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._calls: list[tuple[float, int, Call]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Now."""
        return self._now_s

    def call_at(self, when: float, callback: Callable[[], object], /) -> Call:
        """Call back at `when`; of two calls at one time the earlier made comes first."""
        call = Call(callback)
        heapq.heappush(self._calls, (when, next(self._order), call))
        return call

    def run_until(self, end_s: float) -> None:
        """Let all happen that is due by then."""
        while self._calls and self._calls[0][0] <= end_s:
            when, _, call = heapq.heappop(self._calls)
            self._now_s = max(self._now_s, when)
            if call.callback is not None:
                call.callback()
        self._now_s = max(self._now_s, end_s)
