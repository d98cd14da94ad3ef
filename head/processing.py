"""The thread of the agent that computes and sends: takes frames out of the mailbox and has each answered.

What answers is a rig, which another one may follow between two frames. Where the device can answer by itself (`standby`), it
does so for every frame that the server does not answer in time: whatever would be dropped for the link, the server, a newer frame
or the deadline goes to that lane first, and a frame that was captured is watched there until it is answered.
"""

import time
from collections.abc import Callable
from functools import partial

from isthmus.errors import IsthmusError
from isthmus.head.courier import Courier
from isthmus.head.delivery import Delivery
from isthmus.head.evidence import EvidenceRing
from isthmus.head.flight import Flight
from isthmus.head.frame import Frame
from isthmus.head.handover import Handover
from isthmus.head.ledger import Origin
from isthmus.head.mailbox import Mailbox
from isthmus.head.pending import Pending
from isthmus.head.pilot import Pilot
from isthmus.head.placement import Local
from isthmus.head.rig import Rig
from isthmus.head.thrift import Thrift
from isthmus.head.tracing import FrameTraces

POLL_S = 0.1
"""How often a waiting stage looks whether the run was stopped."""
DOWN = "the link is down"


class Processing:
    """Has frames answered, by one rig after another.

    Args:
        rig: what answers first.
        mailbox: frames that wait.
        delivery: keeps every frame that is taken until the server has answered it; None keeps none.
        evidence: keeps pictures of the frames that are taken; None keeps none.
        traces: begins the trace of each frame that is sent.
        thrift: how much the device has to spare itself.
        waits: every picture counts, so that there is time to wait for the link with each.
        finish_s: after the source ended, how long to wait for a link, and for answers that are in flight.
        on_error: told when a sink failed.

    Attributes:
        beat_s: `time.monotonic` when the thread last came around.
        stopped: the run ends after the frames at hand. A plain flag: a signal handler may interrupt whoever holds a lock.
        handover: takes another rig, from the next frame on.
        recall: asked for what to go on with when the bundle at hand fails; None: the run ends with the error.
    """

    def __init__(
        self,
        rig: Rig,
        mailbox: Mailbox[Pending],
        *,
        delivery: Delivery | None,
        evidence: EvidenceRing | None,
        traces: FrameTraces | None,
        thrift: Thrift | None,
        waits: bool,
        finish_s: float,
        on_error: Callable[[Exception], None],
    ) -> None:
        self.beat_s = time.monotonic()
        self.stopped = False
        self.handover = Handover()
        self.recall: Callable[[IsthmusError], Rig | None] = lambda _error: None
        self._mailbox = mailbox
        self._delivery = delivery
        self._evidence = evidence
        self._traces = traces
        self._thrift = thrift
        self._waits = waits
        self._finish_s = finish_s
        self._on_error = on_error
        self._equip(rig)

    @property
    def rig(self) -> Rig:
        """What answers now."""
        return self._rig

    def run(self) -> None:
        """Until the mailbox is closed and empty, or the run is stopped; then deliver what waits on the disk.

        Raises:
            IsthmusError: the bundle at hand failed, and there is no other.
        """
        self._process()
        self._deliver_rest()

    def settle(self) -> None:
        """Enter what is left when the run ends: frames that wait, and after `finish_s` those that nobody answered."""
        for pending in self._mailbox:
            pending.drop(self._ledger, "stopped")
        for pending in () if self._courier is None else self._courier.flight.wait(self._finish_s):
            self.give_up(pending, "link", f"no answer came within {self._finish_s:g} s of the end of the run")
        if self._standby is not None:
            self._standby.close(self._finish_s)

    def give_up(self, pending: Pending, reason: str, detail: str = "") -> None:
        """A frame that the server will not answer: the device answers it, if it has a network for that and time, or drops it."""
        standby = self._standby
        if standby is None or not standby.take(pending, reason, detail):
            pending.drop(self._ledger, reason, detail)

    def keep(self, frame: Frame) -> None:
        """Let an operator have the picture of a frame that was taken."""
        if self._evidence is not None:
            self._evidence.keep(frame)

    def _take_over(self) -> None:
        rig = self.handover.take()
        if rig is not None:
            self._equip(rig)

    def _equip(self, rig: Rig) -> None:
        self._rig = rig
        self._placement = rig.placement
        self._ledger = rig.ledger
        self._link = rig.link
        self._standby = None if rig.link is None else rig.standby
        # Whoever can have the device answer need not wait for the link, unless there is time for every picture.
        self._decides_at_once = rig.pilot is not None and self._standby is not None and not self._waits
        if rig.standby is not None:
            rig.standby.on_error = self._on_error
        if self._delivery is not None:
            self._delivery.read_by(rig.ledger)
        flight = Flight(rig.ledger, give_up=self.give_up, on_error=self._on_error)
        send = partial(Courier, give_up=self.give_up, pilot=rig.pilot, traces=self._traces)
        self._courier = None if rig.link is None else send(rig.link, rig.ledger, flight)

    def _go_on_after(self, error: IsthmusError) -> None:
        """Take what is offered in place of a bundle that failed, or fail with it."""
        rig = self.recall(error)
        if rig is None:
            raise error
        self._equip(rig)

    def _process(self) -> None:
        while self._may_process():
            self.beat_s = time.monotonic()
            if self._deliver(is_idle=not len(self._mailbox)):
                continue
            try:
                waiting = self._mailbox.get(timeout_s=POLL_S)
            except TimeoutError:
                if self._delivery is not None:
                    self._delivery.flush()
                continue
            if waiting is None:
                return
            if waiting.settled:
                # The device has answered it while it waited.
                continue
            self.keep(waiting.frame)
            try:
                self._handle(waiting)
            except IsthmusError as error:
                self._go_on_after(error)
                self.give_up(waiting, "server", str(error))

    def _handle(self, pending: Pending) -> None:
        if isinstance(self._placement, Local):
            self._answer(self._placement, pending)
        elif isinstance(self._placement, Pilot):
            self._steer(self._placement, pending)
        elif self._courier is not None:
            self._courier.send(self._placement, pending)

    def _deliver(self, *, is_idle: bool) -> bool:
        """Send a picture that waits on the disk if it is its turn and there is a credit."""
        sender = self._rig.best_sender
        if self._delivery is None or self._link is None or sender is None:
            return False
        is_due = self._delivery.is_due(is_idle=is_idle) and self._link.wait_credit(0.0)
        if is_due:
            self._delivery.send_next(self._link, sender)
        return is_due

    def _deliver_rest(self) -> None:
        """When the source has ended, send what waits on the disk for as long as that goes on."""
        if self._delivery is None or self._link is None:
            return
        left, until = -1, 0.0
        while not self.stopped and (now := self._delivery.outstanding):
            self.beat_s = time.monotonic()
            left, until = (now, self.beat_s + self._finish_s) if now != left else (left, until)
            if self._link.failure or self.beat_s > until:
                return
            self._link.want()
            if not (self._link.wait_credit(POLL_S) and self._deliver(is_idle=True)):
                time.sleep(POLL_S / 10)

    def _may_process(self) -> bool:
        """Wait for a credit where one is needed; False when the run is over. The newest frame is taken after the credit came."""
        self._take_over()
        if self._link is None or self._decides_at_once:
            if self._link is not None and self._link.failure:
                self._go_on_after(self._link.failure)
            return not self._is_over()
        ended_at: float | None = None
        while not self._link.wait_credit(POLL_S):
            self.beat_s = time.monotonic()
            self._take_over()
            if self._link.failure:
                self._go_on_after(self._link.failure)
                continue
            if (self._standby is not None or self._delivery is not None) and not self._link.connected:
                self._pass_on(DOWN)
            if self._is_over() or (self.stopped and not self._link.connected):
                break
            if self._mailbox.closed:
                ended_at = ended_at or time.monotonic()
                if not len(self._mailbox) or time.monotonic() - ended_at > self._finish_s:
                    break
        else:
            if not isinstance(self._placement, Local | Pilot) and self._placement.sends_pictures:
                # Every frame would be refused. Of several servers, another one may have come after a break.
                self._link.check_pictures()
            return not self._is_over()
        self._mailbox.close()
        self._pass_on("no link before the run ended")
        return False

    def _pass_on(self, detail: str) -> None:
        """Give up what waits for a link."""
        while len(self._mailbox):
            try:
                pending = self._mailbox.get(timeout_s=0)
            except TimeoutError:
                return
            if pending is not None:
                self.give_up(pending, "link", detail)

    def _is_over(self) -> bool:
        """Whether the run was stopped and no frame waits; a source that hangs is not waited for."""
        return self.stopped and not len(self._mailbox)

    def _answer(self, placement: Local, pending: Pending) -> None:
        stages = pending.stages_until_now()
        answer = placement.answer(pending.frame.image)
        origin = Origin(placement=placement.name, setting=placement.setting)
        self._ledger.answer(pending.frame, answer.outputs, origin, stages | answer.stages_s)

    def _steer(self, pilot: Pilot, pending: Pending) -> None:
        """Answer a frame in the way that is chosen for it."""
        assert self._courier is not None
        course = pilot.decide(pending, self._thrift)
        if course.sender is not None:
            self._courier.send(course.sender, pending)
            return
        assert self._standby is not None
        if not self._standby.take(pending):
            pending.drop(self._ledger, "deadline")
        if course.probe is not None:
            self._courier.probe(course.probe, pending)
