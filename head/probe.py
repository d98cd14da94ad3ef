"""Asks servers for a TCP connection, again and again, until one gives it.

A kernel that tries to connect over a dead link sends its packets after 1, 3 and 7 seconds, so that a link which is back stays
unused for as long. Here a new attempt begins every few hundred milliseconds beside those that hang: it costs a packet of 60
bytes, and the first one after the link is back gets through. They go on side by side: a slow link needs longer than the pause.
"""

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from isthmus.head.addresses import Names

HANGING_S = 4.0
"""After that an attempt is taken back: the slowest links, by satellite, need 1 s."""
LOOK_S = 0.05
"""How often a wait looks whether it was given up."""
PREFERENCE_S = 0.1
"""So long at most an address that a device likes better may take longer than another one."""


class Pace(Protocol):
    """How long after one attempt the next one begins."""

    def draw(self) -> None:
        """An attempt begins."""
        ...

    @property
    def pause_s(self) -> float:
        """Asked all the time: it may change."""
        ...


def reachable(addresses: Sequence[str], names: Names, *, pace: Pace, given_up: Callable[[], bool]) -> list[str]:
    """Wait until a server gives a connection; it is closed again.

    Args:
        addresses: `host:port`, the best one first.
        names: where they lead.
        pace: of attempts.
        given_up: asked all the time; true ends the wait.

    Returns:
        The addresses that gave one, the best one first; none if the wait was given up.
    """
    with _Attempts(names) as attempts:
        begun_at = -float("inf")
        while not given_up():
            now = time.monotonic()
            if now - begun_at >= pace.pause_s:
                begun_at = now
                pace.draw()
                for address in addresses:
                    attempts.begin(address)
            attempts.look(LOOK_S)
            if attempts.is_decided(addresses[0]):
                return [address for address in addresses if address in attempts.reached]
    return []


class _Attempts:
    """Connections that are being made."""

    def __init__(self, names: Names) -> None:
        self.reached: dict[str, float] = {}
        self._names = names
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "_Attempts":
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            self._end(key.fileobj)
        self._selector.close()

    def begin(self, address: str) -> None:
        """Begin to connect, to all that the name leads to."""
        for family, where in self._names.find(address):
            try:
                attempt = socket.socket(family, socket.SOCK_STREAM)
            except OSError:
                # A family that this machine has not, or no descriptor is free.
                continue
            attempt.setblocking(False)
            attempt.connect_ex(where)
            # What failed at once is reported as ready, too.
            self._selector.register(attempt, selectors.EVENT_WRITE, (address, time.monotonic()))

    def look(self, wait_s: float) -> None:
        """Wait for news, and let go of what was refused or hangs."""
        if not self._selector.get_map():
            time.sleep(wait_s)
            return
        for key, _ in self._selector.select(wait_s):
            assert isinstance(key.fileobj, socket.socket)
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                self.reached.setdefault(key.data[0], time.monotonic())
            self._end(key.fileobj)
        oldest = time.monotonic() - HANGING_S
        for key in list(self._selector.get_map().values()):
            if key.data[1] < oldest:
                self._end(key.fileobj)

    def is_decided(self, best: str) -> bool:
        """Whether somebody gave a connection, and the best one had its time."""
        if best in self.reached:
            return True
        return bool(self.reached) and time.monotonic() - min(self.reached.values()) > PREFERENCE_S

    def _end(self, attempt: object) -> None:
        assert isinstance(attempt, socket.socket)
        self._selector.unregister(attempt)
        attempt.close()
