"""Whose turn it is to send: transfers share one rate in equal parts, and only so many run at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from isthmus.errors import Overloaded
from isthmus.tail.admission.handout import HandoutLimits
from isthmus.tail.admission.pace import Pace

RETRY_MS = 5000
"""A place is free when a transfer of some megabytes is over."""


class Turns:
    """Places and rate of a server's transfers; only the event loop touches it.

    Args:
        limits: of all transfers.
        burst: bytes that may be sent at once after a pause.
        clock: seconds, monotonic.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        limits: HandoutLimits,
        *,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._pace = None if limits.bytes_per_s is None else Pace(limits.bytes_per_s, burst)
        # Whoever waits for it is served in the order of asking: that shares the rate equally.
        self._turn = asyncio.Lock()
        self.running = 0
        """Transfers that have a place."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            Overloaded: all are taken.
        """
        if self.running >= self._limits.transfers:
            raise Overloaded(
                f"{self.running} devices fetch bundles just now, which is as many as may at a time; try again in a few seconds",
                retry_after_ms=RETRY_MS,
            )
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    async def wait(self, size_bytes: int) -> None:
        """Returns when so many bytes may be sent."""
        if self._pace is None:
            return
        async with self._turn:
            if delay_s := self._pace.wait_s(self._clock()):
                await self._sleep(delay_s)
            self._pace.spend(self._clock(), size_bytes)
