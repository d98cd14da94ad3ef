"""How the program ends: the first signal lets what is in flight be answered, the second one ends it at once."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import structlog

CAUGHT = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger(__name__)


class Ending:
    """Catches SIGTERM and SIGINT from its creation on, in the running event loop.

    Args:
        at_once: called before the second signal ends the program; it must not wait for anything.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None) -> None:
        loop = asyncio.get_running_loop()
        self._at_once = at_once
        self._first: asyncio.Future[int] = loop.create_future()
        for number in CAUGHT:
            loop.add_signal_handler(number, self._caught, number)

    async def wait(self) -> int:
        """The number of the first signal, once it came."""
        return await self._first

    def _caught(self, number: signal.Signals) -> None:
        if not self._first.done():
            _log.info("stopping", signal=number.name)
            self._first.set_result(int(number))
            return
        _log.warning("ended at once by a second signal", signal=number.name)
        self._at_once()
        sys.stdout.flush()
        sys.stderr.flush()
        # Not by way of the interpreter's end: it would wait for workers, and one of them may be what hangs.
        os._exit(128 + number)
