"""Log lines about strangers. A flood of refused calls must not become a flood of lines, on a disk that others need too."""

import time
from collections.abc import Callable

import structlog

from isthmus.errors import AccessError

LINES_MAX, WINDOW_S = 20, 10.0
"""Enough to see each of a few devices with an old token; two lines a second for ever are bearable."""

_log = structlog.get_logger(__name__)


class Complaints:
    """Tells of refused calls, at most `LINES_MAX` in a window; the next line after that says how many were left out.

    Args:
        refused: gets every refusal, for those who count.
        clock: seconds, monotonic.
    """

    def __init__(
        self, refused: Callable[[AccessError], None] = lambda _error: None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._refused = refused
        self._clock = clock
        self._began = clock()
        self._told = 0
        self._left_out = 0

    def tell(self, where: str, peer: str, error: AccessError) -> None:
        """Count and log one refusal.

        Args:
            where: method or page.
            peer: where the caller is.
            error: as the caller was told it.
        """
        self._refused(error)
        now = self._clock()
        if now - self._began >= WINDOW_S:
            self._began, self._told = now, 0
        if self._told >= LINES_MAX:
            self._left_out += 1
            return
        self._told += 1
        left_out, self._left_out = self._left_out, 0
        # repr: names in certificates may hold control characters, a log line must not.
        _log.warning(
            "call refused", where=where, peer=peer, reason=repr(str(error)), **({"left_out": left_out} if left_out else {})
        )
