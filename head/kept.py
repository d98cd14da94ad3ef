"""The picture of a frame that must be delivered, between its capture and the server's answer."""

import threading
from collections.abc import Callable

from isthmus.head.record import Identity


class Kept:
    """One picture on the disk, and what its frame is about: whoever has the frame tells.

    Args:
        number: of the picture on the disk.
        identity: of the frame.
        lock: of all that are kept together.
        done: told when the sinks have the server's answer.

    Attributes:
        refusals: how often the server failed on it.
    """

    def __init__(self, number: int, identity: Identity, lock: threading.RLock, done: "Callable[[Kept], None]") -> None:
        self.number = number
        self.identity = identity
        self.refusals = 0
        self._lock = lock
        self._done = done
        self._under_way = False
        self._released = False

    @property
    def waits(self) -> bool:
        """Whether it is to be sent from the disk."""
        return self._released and not self._under_way

    def depart(self) -> bool:
        """It is being sent; False if it waits to be sent from the disk by now."""
        with self._lock:
            if self.waits:
                return False
            self._under_way = True
            return True

    def land(self) -> None:
        """What was sent came to nothing."""
        with self._lock:
            self._under_way = False

    def release(self) -> None:
        """Its live way is over, and the server has not answered."""
        with self._lock:
            self._released = True

    def take(self) -> None:
        """It is being sent from the disk."""
        self._under_way = True

    def answered(self) -> None:
        """The sinks have the server's answer."""
        self._done(self)
