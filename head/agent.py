"""The device agent: source -> motion gate -> mailbox -> head network and codec -> link -> sinks.

Two threads of its own: one captures and asks the gate, one computes and sends (`processing`). Between them stands a mailbox of
one frame, so that memory is bounded and, on a live source, the newest frame wins. Answers are entered by the thread that reads
them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from isthmus.contract.bundle import Bundle
from isthmus.devices.sensors import Readings
from isthmus.errors import IsthmusError
from isthmus.head.delivery import Delivery
from isthmus.head.evidence import EvidenceRing
from isthmus.head.frame import Frame, Source
from isthmus.head.gate import MotionGate
from isthmus.head.intake import Intake
from isthmus.head.ledger import Summary
from isthmus.head.mailbox import DropPolicy, Mailbox
from isthmus.head.pending import Pending
from isthmus.head.processing import DOWN, Processing
from isthmus.head.rig import Rig
from isthmus.head.sink import Sink
from isthmus.head.thrift import Thrift
from isthmus.head.tracing import FrameTraces

STALLED_S = 10.0
"""A frame is computed and sent in well under a second; whoever takes so long hangs in a driver or a sink."""

Fit = Callable[[Bundle, Sequence[Sink]], Rig]


class Agent:
    """Runs one source.

    Args:
        source: frames.
        rig: what answers, and gets the fate of every frame.
        delivery: keeps every frame that is taken until the server has answered it; None keeps none.
        gate: drops frames in which nothing moves; None lets all pass.
        drop_policy: `drop-oldest` for live sources; `wait` where every picture counts (files).
        evidence: keeps pictures of the frames that pass the gate; None keeps none.
        traces: begins the trace of each frame that is sent; the same object must be a sink of the ledger, which ends them.
        thrift: leaves frames out when the device is hot or its battery is low; None never does.
        finish_s: after the source ended, how long to wait for a link, and for answers that are in flight.

    Attributes:
        first_rig: what the agent began with.
        fit: makes a rig of another bundle, with further sinks for its records; None where there is only one bundle.
    """

    def __init__(
        self,
        *,
        source: Source,
        rig: Rig,
        delivery: Delivery | None = None,
        gate: MotionGate | None = None,
        drop_policy: DropPolicy = "drop-oldest",
        evidence: EvidenceRing | None = None,
        traces: FrameTraces | None = None,
        thrift: Thrift | None = None,
        finish_s: float = 10.0,
    ) -> None:
        self.first_rig = rig
        self.fit: Fit | None = None
        self._source = source
        self._delivery = None if rig.link is None else delivery
        self._intake = Intake(rig.ledger, gate=gate, thrift=thrift)
        self._thrift = thrift
        self._finish_s = finish_s
        self._mailbox: Mailbox[Pending] = Mailbox(capacity=1, policy=drop_policy)
        if delivery is not None:
            delivery.on_error = self._fail
        self._processing = Processing(
            rig,
            self._mailbox,
            delivery=self._delivery,
            evidence=evidence,
            traces=traces,
            thrift=thrift,
            waits=drop_policy == "wait",
            finish_s=finish_s,
            on_error=self._fail,
        )
        self._broken: Exception | None = None

    @property
    def summary(self) -> Summary:
        """What the run has come to so far."""
        return self._processing.rig.ledger.summary

    def facts(self) -> dict[str, Any]:
        """What can be said of the agent now; what is a number has its unit at the end of its name, as Prometheus wants it."""
        rig = self._processing.rig
        readings = Readings() if self._thrift is None else self._thrift.readings
        facts = {
            "source": self._source.description,
            "placement": f"{rig.placement.name} {rig.placement.setting}".rstrip(),
            "providers": ", ".join(rig.placement.providers),
            "unreadable_pictures": self._source.unreadable,
            "frames_taken_ratio": 1.0 if self._thrift is None else 0.5**self._thrift.steps,
            "temperature_celsius": readings.temperature_c,
            "battery_ratio": readings.battery_share,
        }
        if rig.link is not None:
            facts |= {"link_up": rig.link.connected, "link_reconnects": rig.link.reconnects}
        if rig.standby is not None:
            facts |= {"late_answers": self.summary.late, "unneeded_answers": rig.standby.unneeded}
        if self._delivery is not None:
            facts |= self._delivery.facts()
        if rig.audit is not None:
            facts |= rig.audit.facts()
        return facts

    @property
    def lives(self) -> bool:
        """Whether the thread that computes and sends comes around; it does so without frames and without a link too."""
        return time.monotonic() - self._processing.beat_s < STALLED_S

    def hand_over(self, rig: Rig) -> threading.Event:
        """Answer with another bundle; see `Handover.offer`."""
        return self._processing.handover.offer(rig)

    def recall_with(self, recall: Callable[[IsthmusError], Rig | None]) -> None:
        """Whom to ask for what to go on with when the bundle at hand fails."""
        self._processing.recall = recall

    def stop(self) -> None:
        """End the run after the frames at hand; safe from a signal handler."""
        self._processing.stopped = True

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
            self._processing.run()
        finally:
            self.stop()
            self._mailbox.close()
            self._source.interrupt()
            capture.join(self._finish_s)
            self._processing.settle()
        if self._broken:
            raise self._broken
        return self.summary

    def _capture(self) -> None:
        try:
            while not self._processing.stopped and (frame := self._source.read()) is not None:
                self._offer(frame)
        except Exception as error:
            self._fail(error)
        finally:
            self._mailbox.close()

    def _fail(self, error: Exception) -> None:
        """End the run with an error of another thread; the first one counts."""
        self._broken = self._broken or error
        self.stop()

    def _offer(self, frame: Frame) -> None:
        pending = self._intake.take(frame)
        if pending is None:
            return
        # Another rig may take its place at any moment.
        rig = self._processing.rig
        if self._delivery is not None:
            self._delivery.keep(pending)
        if rig.link is not None:
            rig.link.want()
            if not rig.link.connected and (rig.standby is not None or pending.kept is not None):
                self._processing.keep(frame)
                self._processing.give_up(pending, "link", DOWN)
                return
            if rig.standby is not None:
                rig.standby.watch(pending)
        displaced = self._mailbox.put(pending)
        if displaced is pending and self._mailbox.closed:
            displaced.drop(rig.ledger, "stopped")
        elif displaced is not None:
            self._processing.give_up(displaced, "newer")
