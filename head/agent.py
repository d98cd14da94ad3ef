"""The device agent: source -> motion gate -> mailbox -> head network and codec -> link -> sinks.

Two threads of its own: one captures and asks the gate, one computes and sends. Between them stands a mailbox of one frame, so
that memory is bounded and, on a live source, the newest frame wins. Answers are entered by the thread that reads them.

Where the device can answer by itself (`standby`), it does so for every frame that the server does not answer in time: whatever
would be dropped for the link, the server, a newer frame or the deadline goes to that lane first, and a frame that was captured
is watched there until it is answered.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from isthmus.contract.bundle import Bundle
from isthmus.devices.sensors import Readings
from isthmus.errors import IsthmusError
from isthmus.head.audit import FilterAudit
from isthmus.head.courier import Courier
from isthmus.head.delivery import Delivery
from isthmus.head.evidence import EvidenceRing
from isthmus.head.flight import Flight
from isthmus.head.frame import Frame, Source
from isthmus.head.gate import MotionGate
from isthmus.head.handover import Handover
from isthmus.head.intake import Intake
from isthmus.head.ledger import Ledger, Origin, Summary
from isthmus.head.link import Link
from isthmus.head.mailbox import DropPolicy, Mailbox
from isthmus.head.pending import Pending
from isthmus.head.pilot import Pilot
from isthmus.head.placement import Local, Sender
from isthmus.head.rig import Rig
from isthmus.head.sink import Sink
from isthmus.head.standby import Standby
from isthmus.head.thrift import Thrift
from isthmus.head.tracing import FrameTraces

POLL_S = 0.1
"""How often a waiting stage looks whether the run was stopped."""
STALLED_S = 10.0
"""A frame is computed and sent in well under a second; whoever takes so long hangs in a driver or a sink."""
_DOWN = "the link is down"

Fit = Callable[[Bundle, Sequence[Sink]], Rig]


class Agent:
    """Runs one source through one placement, or through those that a pilot chooses.

    Args:
        source: frames.
        placement: `Local`; a sender (`Split`, `Offload`) together with a link; a pilot that chooses, with its link.
        ledger: gets the fate of every frame.
        link: where captures go; None only for `Local`.
        standby: answers by itself what the server does not answer in time; None: such frames are dropped.
        delivery: keeps every frame that is taken until the server has answered it; None keeps none.
        gate: drops frames in which nothing moves; None lets all pass.
        drop_policy: `drop-oldest` for live sources; `wait` where every picture counts (files).
        evidence: keeps pictures of the frames that pass the gate; None keeps none.
        traces: begins the trace of each frame that is sent; the same object must be a sink of the ledger, which ends them.
        thrift: leaves frames out when the device is hot or its battery is low; None never does.
        audit: judges the placement's neural filter, as a sink of the ledger; here for the facts that it knows.
        finish_s: after the source ended, how long to wait for a link, and for answers that are in flight.

    Raises:
        ConfigError: a sender without a link.
    """

    def __init__(
        self,
        *,
        source: Source,
        placement: Local | Sender | Pilot,
        ledger: Ledger,
        link: Link | None = None,
        standby: Standby | None = None,
        delivery: Delivery | None = None,
        gate: MotionGate | None = None,
        drop_policy: DropPolicy = "drop-oldest",
        evidence: EvidenceRing | None = None,
        traces: FrameTraces | None = None,
        thrift: Thrift | None = None,
        audit: FilterAudit | None = None,
        finish_s: float = 10.0,
    ) -> None:
        self._source = source
        self._delivery = None if link is None else delivery
        self._traces = traces
        self._intake = Intake(ledger, gate=gate, thrift=thrift)
        self._evidence = evidence
        self._thrift = thrift
        self._finish_s = finish_s
        self._drop_policy = drop_policy
        self._mailbox: Mailbox[Pending] = Mailbox(capacity=1, policy=drop_policy)
        if delivery is not None:
            delivery.on_error = self._fail
        rig = Rig(placement=placement, ledger=ledger, link=link, standby=standby, audit=audit)
        self._equip(rig)
        self.handover = Handover()
        """How another bundle comes to answer."""
        self.recall: Callable[[IsthmusError], Rig | None] = lambda _error: None
        """Asked for what to go on with when the bundle at hand fails; None: the run ends with the error."""
        self.fit: Fit | None = None
        """Makes a rig of another bundle, with further sinks for its records; None where there is only one bundle."""
        self.first_rig = rig
        """What the agent began with."""
        self._beat_s = time.monotonic()
        # A plain flag: a signal handler may interrupt whoever holds a lock.
        self._stopped = False
        self._broken: Exception | None = None

    @property
    def summary(self) -> Summary:
        """What the run has come to so far."""
        return self._ledger.summary

    def facts(self) -> dict[str, Any]:
        """What can be said of the agent now; what is a number has its unit at the end of its name, as Prometheus wants it."""
        readings = Readings() if self._thrift is None else self._thrift.readings
        facts = {
            "source": self._source.description,
            "placement": f"{self._placement.name} {self._placement.setting}".rstrip(),
            "providers": ", ".join(self._placement.providers),
            "unreadable_pictures": self._source.unreadable,
            "frames_taken_ratio": 1.0 if self._thrift is None else 0.5**self._thrift.steps,
            "temperature_celsius": readings.temperature_c,
            "battery_ratio": readings.battery_share,
        }
        if self._audit is not None:
            facts |= self._audit.facts()
        if self._link is not None:
            facts |= {"link_up": self._link.connected, "link_reconnects": self._link.reconnects}
        if self._standby is not None:
            facts |= {"late_answers": self.summary.late, "unneeded_answers": self._standby.unneeded}
        if self._delivery is not None:
            facts |= self._delivery.facts()
        return facts

    @property
    def lives(self) -> bool:
        """Whether the thread that computes and sends comes around; it does so without frames and without a link too."""
        return time.monotonic() - self._beat_s < STALLED_S

    def _take_over(self) -> None:
        if (rig := self.handover.take()) is not None:
            self._equip(rig)

    def _equip(self, rig: Rig) -> None:
        self._placement = rig.placement
        self._ledger = rig.ledger
        self._link = rig.link
        self._audit = rig.audit
        self._standby = None if rig.link is None else rig.standby
        # What no deadline presses is sent the best way.
        self._patient = rig.best_sender
        # Whoever can have the device answer need not wait for the link, unless there is time for every picture.
        self._decides_at_once = rig.pilot is not None and self._standby is not None and self._drop_policy != "wait"
        if rig.standby is not None:
            rig.standby.on_error = self._fail
        if self._delivery is not None:
            self._delivery.read_by(rig.ledger)
        flight = Flight(rig.ledger, give_up=self._give_up, on_error=self._fail)
        send = partial(Courier, give_up=self._give_up, pilot=rig.pilot, traces=self._traces)
        self._courier = None if rig.link is None else send(rig.link, rig.ledger, flight)

    def _go_on_after(self, error: IsthmusError) -> None:
        """Take what is offered in place of a bundle that failed, or fail with it."""
        rig = self.recall(error)
        if rig is None:
            raise error
        self._equip(rig)

    def stop(self) -> None:
        """End the run after the frames at hand; safe from a signal handler."""
        self._stopped = True

    def run(self) -> Summary:
        """Run until the source ends or `stop` is called.

        Raises:
            SourceError: the source broke.
            ContractMismatch: the server holds another bundle.
            ConfigError: pictures are to be sent, and the server takes none.
            Exception: a sink failed, with whatever it raised.
        """
        capture = threading.Thread(target=self._capture, name="isthmus-capture", daemon=True)
        capture.start()
        try:
            self._process()
            self._deliver_rest()
        finally:
            self._stopped = True
            self._mailbox.close()
            self._source.interrupt()
            capture.join(self._finish_s)
            self._settle()
        if self._broken:
            raise self._broken
        return self._ledger.summary

    def _capture(self) -> None:
        try:
            while not self._stopped and (frame := self._source.read()) is not None:
                self._offer(frame)
        except Exception as error:
            self._fail(error)
        finally:
            self._mailbox.close()

    def _fail(self, error: Exception) -> None:
        """End the run with an error of another thread; the first one counts."""
        self._broken = self._broken or error
        self._stopped = True

    def _settle(self) -> None:
        """Enter what is left when the run ends: frames that wait, and after `finish_s` those that nobody answered."""
        for pending in self._mailbox:
            pending.drop(self._ledger, "stopped")
        for pending in () if self._courier is None else self._courier.flight.wait(self._finish_s):
            self._give_up(pending, "link", f"no answer came within {self._finish_s:g} s of the end of the run")
        if self._standby is not None:
            self._standby.close(self._finish_s)

    def _offer(self, frame: Frame) -> None:
        pending = self._intake.take(frame)
        if pending is None:
            return
        # Another rig may take their place at any moment.
        link, standby = self._link, self._standby
        if self._delivery is not None:
            self._delivery.keep(pending)
        if link is not None:
            link.want()
            if not link.connected and (standby is not None or pending.kept is not None):
                self._keep(frame)
                self._give_up(pending, "link", _DOWN)
                return
        if standby is not None:
            standby.watch(pending)
        displaced = self._mailbox.put(pending)
        if displaced is pending and self._mailbox.closed:
            displaced.drop(self._ledger, "stopped")
        elif displaced is not None:
            self._give_up(displaced, "newer")

    def _keep(self, frame: Frame) -> None:
        if self._evidence is not None:
            self._evidence.keep(frame)

    def _process(self) -> None:
        while self._may_process():
            self._beat_s = time.monotonic()
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
            self._keep(waiting.frame)
            try:
                self._handle(waiting)
            except IsthmusError as error:
                self._go_on_after(error)
                self._give_up(waiting, "server", str(error))

    def _handle(self, pending: Pending) -> None:
        if isinstance(self._placement, Local):
            self._answer(self._placement, pending)
        elif isinstance(self._placement, Pilot):
            self._steer(self._placement, pending)
        elif self._courier is not None:
            self._courier.send(self._placement, pending)

    def _deliver(self, *, is_idle: bool) -> bool:
        """Send a picture that waits on the disk if it is its turn and there is a credit."""
        if self._delivery is None or self._link is None or self._patient is None or not self._link.wait_credit(0.0):
            return False
        if is_due := self._delivery.is_due(is_idle=is_idle):
            self._delivery.send_next(self._link, self._patient)
        return is_due

    def _deliver_rest(self) -> None:
        """When the source has ended, send what waits on the disk for as long as that goes on."""
        if self._delivery is None or self._link is None:
            return
        left, until = -1, 0.0
        while not self._stopped and (now := self._delivery.outstanding):
            self._beat_s = time.monotonic()
            left, until = (now, self._beat_s + self._finish_s) if now != left else (left, until)
            if self._link.failure or self._beat_s > until:
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
            self._beat_s = time.monotonic()
            self._take_over()
            if self._link.failure:
                self._go_on_after(self._link.failure)
                continue
            if (self._standby is not None or self._delivery is not None) and not self._link.connected:
                self._pass_on(_DOWN)
            if self._is_over() or (self._stopped and not self._link.connected):
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
                self._give_up(pending, "link", detail)

    def _is_over(self) -> bool:
        """Whether the run was stopped and no frame waits; a source that hangs is not waited for."""
        return self._stopped and not len(self._mailbox)

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

    def _give_up(self, pending: Pending, reason: str, detail: str = "") -> None:
        """A frame that the server will not answer: the device answers it, if it has a network for that and time, or drops it."""
        standby = self._standby
        if standby is None or not standby.take(pending, reason, detail):
            pending.drop(self._ledger, reason, detail)
