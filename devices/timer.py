"""An asyncio loop whose timers are good to a tenth of a millisecond.

epoll counts whole milliseconds, and asyncio rounds up; select(2) counts microseconds. Waiting in select on the one file
descriptor of the epoll object keeps epoll's scale: it is readable when any of its own descriptors is.
"""

import asyncio
import select
import selectors
import time
from collections.abc import Callable

# select(2) cannot name a descriptor of this number or above (FD_SETSIZE).
_SELECT_LIMIT = 1024


class FineSelector(selectors.EpollSelector):
    """epoll, woken on time."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events for at most `timeout` seconds (None: forever); see `selectors.BaseSelector.select`."""
        if timeout is None or timeout <= 0 or self.fileno() >= _SELECT_LIMIT:
            return super().select(timeout)
        select.select([self.fileno()], [], [], timeout)
        return super().select(0)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make an asyncio loop on a `FineSelector`."""
    return asyncio.SelectorEventLoop(FineSelector())


class LoopClock:
    """A loop's timers on the machine's own clock: uvloop counts whole milliseconds, remembered from its last wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def time(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call back at `when`; a loop that rounds may be early and has to be asked again."""
        return self._loop.call_later(when - time.monotonic(), callback)
