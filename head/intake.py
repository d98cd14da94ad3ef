"""Which captured frames are taken at all: those in which something moves, fewer of them where the device has to spare itself."""

import time

from isthmus.head.frame import Frame
from isthmus.head.gate import MotionGate
from isthmus.head.ledger import Ledger
from isthmus.head.pending import Pending
from isthmus.head.thrift import Thrift


class Intake:
    """Enters what is not taken.

    Args:
        ledger: gets the fate of frames that are not taken.
        gate: drops frames in which nothing moves; None lets all pass.
        thrift: leaves frames out when the device is hot or its battery is low; None never does.
    """

    def __init__(self, ledger: Ledger, *, gate: MotionGate | None = None, thrift: Thrift | None = None) -> None:
        self._ledger = ledger
        self._gate = gate
        self._thrift = thrift

    def take(self, frame: Frame) -> Pending | None:
        """The frame with its deadline, or None if it is not taken."""
        stages: dict[str, float] = {}
        if self._gate is not None:
            started = time.perf_counter()
            moving = self._gate.decide(frame.image).open
            stages["gate"] = time.perf_counter() - started
            if not moving:
                self._ledger.drop(frame, "gate", stages_s=stages)
                return None
        if self._thrift is not None and not self._thrift.takes():
            self._ledger.drop(frame, "spared", detail=self._thrift.reason, stages_s=stages)
            return None
        return Pending(frame, stages, self._ledger.deadline_at(frame))
