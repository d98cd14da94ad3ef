"""A frame between its capture and its one entry in the ledger.

Several threads may come to an end with the same frame: the answer of the server, the device's own, the end of the run. Whoever
claims it first enters it; the others let it go.
"""

import threading
import time
from typing import Protocol

from isthmus.head.frame import Frame
from isthmus.head.ledger import Ledger
from isthmus.head.record import Identity


class Keeper(Protocol):
    """The picture of a frame, which must be delivered; see `isthmus.head.delivery.Kept`."""

    identity: Identity

    def depart(self) -> bool:
        """It is being sent; False if it waits to be sent from the disk by now."""
        ...

    def land(self) -> None:
        """What was sent came to nothing."""
        ...

    def release(self) -> None:
        """Its live way is over, and the server has not answered."""
        ...

    def answered(self) -> None:
        """The sinks have the server's answer."""
        ...


class Pending:
    """One frame on its way; safe to use from any thread.

    Args:
        frame: what was captured.
        stages_s: seconds by stage so far.
        deadline_at: `time.monotonic` at which an answer is of no use any more; None: never.

    Attributes:
        stages_s: as above; replaced by whoever has the frame at the moment.
        kept: its picture on the disk, for a frame that must be delivered.
    """

    def __init__(self, frame: Frame, stages_s: dict[str, float], deadline_at: float | None = None) -> None:
        self.frame = frame
        self.stages_s = stages_s
        self.deadline_at = deadline_at
        self.kept: Keeper | None = None
        self._lock = threading.Lock()
        self._settled = False

    @property
    def is_late(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline_at is not None and time.monotonic() > self.deadline_at

    @property
    def settled(self) -> bool:
        """Whether somebody has claimed it."""
        return self._settled

    def claim(self) -> bool:
        """Take it upon oneself to enter this frame; False where another one has."""
        with self._lock:
            first, self._settled = not self._settled, True
        return first

    @property
    def identity(self) -> Identity | None:
        """Of its records, if that is settled already."""
        return None if self.kept is None else self.kept.identity

    def drop(self, ledger: Ledger, reason: str, detail: str = "") -> None:
        """Enter that there is no answer, unless somebody has this frame; one that must be delivered waits instead."""
        if not self.claim():
            return
        if self.kept is None:
            ledger.drop(self.frame, reason, detail=detail, stages_s=self.stages_s)
        else:
            self.kept.release()

    def dismiss(self, ledger: Ledger, reason: str) -> None:
        """Enter that there is nothing in this frame, unless somebody has it; nothing is to be delivered either."""
        if self.claim():
            ledger.drop(self.frame, reason, stages_s=self.stages_s)
        if self.kept is not None:
            self.kept.answered()

    def stages_until_now(self) -> dict[str, float]:
        """Stages so far, with what passed between capture and now outside of them as `wait`."""
        waited = time.monotonic() - self.frame.captured_s - sum(self.stages_s.values())
        return {**self.stages_s, "wait": max(0.0, waited)}
