"""The device agent: source -> motion gate -> mailbox -> head network and codec -> link -> sinks.

Two threads of its own: one captures and asks the gate, one computes and sends. Between them stands a mailbox of one frame, so
that memory is bounded and, on a live source, the newest frame wins. Answers are entered by the thread that reads them.
"""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from isthmus.devices.sensors import Readings
from isthmus.errors import ConfigError, ContractMismatch, IsthmusError, TailUnavailable
from isthmus.head.evidence import EvidenceRing
from isthmus.head.frame import Frame, Source
from isthmus.head.gate import MotionGate
from isthmus.head.ledger import Ledger, Origin, Summary
from isthmus.head.link import Link
from isthmus.head.mailbox import DropPolicy, Mailbox
from isthmus.head.placement import Local, Sender
from isthmus.head.reply import Reply
from isthmus.head.thrift import Thrift
from isthmus.head.tracing import FrameTraces

POLL_S = 0.1
"""How often a waiting stage looks whether the run was stopped."""
STALLED_S = 10.0
"""A frame is computed and sent in well under a second; whoever takes so long hangs in a driver or a sink."""
_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class _Waiting:
    frame: Frame
    stages_s: dict[str, float]

    def stages_until_now(self) -> dict[str, float]:
        """Stages so far, with what passed between capture and now outside of them as `wait`."""
        waited = time.monotonic() - self.frame.captured_s - sum(self.stages_s.values())
        return {**self.stages_s, "wait": max(0.0, waited)}


class Agent:
    """Runs one source through one fixed placement.

    Args:
        source: frames.
        placement: `Local`, or a sender (`Split`, `Offload`) together with a link.
        ledger: gets the fate of every frame.
        link: where captures go; None only for `Local`.
        gate: drops frames in which nothing moves; None lets all pass.
        drop_policy: `drop-oldest` for live sources; `wait` where every picture counts (files).
        evidence: keeps pictures of the frames that pass the gate; None keeps none.
        traces: begins the trace of each frame that is sent; the same object must be a sink of the ledger, which ends them.
        thrift: leaves frames out when the device is hot or its battery is low; None never does.
        finish_s: after the source ended, how long to wait for a link, and for answers that are in flight.

    Raises:
        ConfigError: a sender without a link.
    """

    def __init__(
        self,
        *,
        source: Source,
        placement: Local | Sender,
        ledger: Ledger,
        link: Link | None = None,
        gate: MotionGate | None = None,
        drop_policy: DropPolicy = "drop-oldest",
        evidence: EvidenceRing | None = None,
        traces: FrameTraces | None = None,
        thrift: Thrift | None = None,
        finish_s: float = 10.0,
    ) -> None:
        if link is None and not isinstance(placement, Local):
            raise ConfigError(f"the placement {placement.name} needs a link to a server")
        self._source = source
        self._placement = placement
        self._ledger = ledger
        self._link = link
        self._gate = gate
        self._evidence = evidence
        self._traces = traces
        self._thrift = thrift
        self._finish_s = finish_s
        self._mailbox: Mailbox[_Waiting] = Mailbox(capacity=1, policy=drop_policy)
        self._beat_s = time.monotonic()
        # A plain flag: a signal handler may interrupt whoever holds a lock.
        self._stopped = False
        self._broken: Exception | None = None
        self._sent: dict[int, _Waiting] = {}
        self._due = 0
        self._settled = threading.Condition()

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
        if self._link is not None:
            facts |= {"link_up": self._link.connected, "link_reconnects": self._link.reconnects}
        return facts

    @property
    def lives(self) -> bool:
        """Whether the thread that computes and sends comes around; it does so without frames and without a link too."""
        return time.monotonic() - self._beat_s < STALLED_S

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
        for waiting in self._mailbox:
            self._ledger.drop(waiting.frame, "stopped", stages_s=waiting.stages_s)
        with self._settled:
            self._settled.wait_for(lambda: self._due == 0, self._finish_s)
            late = list(self._sent.values())
            self._sent.clear()
        for sent in late:
            detail = f"no answer came within {self._finish_s:g} s of the end of the run"
            self._ledger.drop(sent.frame, "link", detail=detail, stages_s=sent.stages_s)

    def _offer(self, frame: Frame) -> None:
        stages: dict[str, float] = {}
        if self._gate is not None:
            started = time.perf_counter()
            moving = self._gate.decide(frame.image).open
            stages["gate"] = time.perf_counter() - started
            if not moving:
                self._ledger.drop(frame, "gate", stages_s=stages)
                return
        if self._thrift is not None and not self._thrift.takes():
            self._ledger.drop(frame, "spared", detail=self._thrift.reason, stages_s=stages)
            return
        displaced = self._mailbox.put(_Waiting(frame, stages))
        if displaced is not None:
            refused = displaced.frame is frame and self._mailbox.closed
            self._ledger.drop(displaced.frame, "stopped" if refused else "newer", stages_s=displaced.stages_s)

    def _process(self) -> None:
        while self._may_process():
            self._beat_s = time.monotonic()
            try:
                waiting = self._mailbox.get(timeout_s=POLL_S)
            except TimeoutError:
                continue
            if waiting is None:
                return
            if self._evidence is not None:
                self._evidence.keep(waiting.frame)
            if isinstance(self._placement, Local):
                self._answer(self._placement, waiting)
            else:
                self._send(self._placement, waiting)

    def _may_process(self) -> bool:
        """Wait for a credit where one is needed; False when the run is over. The newest frame is taken after the credit came."""
        if self._link is None:
            return not self._is_over()
        ended_at: float | None = None
        while not self._link.wait_credit(POLL_S):
            self._beat_s = time.monotonic()
            if self._link.failure:
                raise self._link.failure
            if self._is_over() or (self._stopped and not self._link.connected):
                break
            if self._mailbox.closed:
                ended_at = ended_at or time.monotonic()
                if not len(self._mailbox) or time.monotonic() - ended_at > self._finish_s:
                    break
        else:
            if not isinstance(self._placement, Local) and self._placement.sends_pictures:
                # Every frame would be refused. Of several servers, another one may have come after a break.
                self._link.check_pictures()
            return not self._is_over()
        self._mailbox.close()
        for waiting in self._mailbox:
            self._ledger.drop(waiting.frame, "link", detail="no link before the run ended", stages_s=waiting.stages_s)
        return False

    def _is_over(self) -> bool:
        """Whether the run was stopped and no frame waits; a source that hangs is not waited for."""
        return self._stopped and not len(self._mailbox)

    def _answer(self, placement: Local, waiting: _Waiting) -> None:
        stages = waiting.stages_until_now()
        answer = placement.answer(waiting.frame.image)
        origin = Origin(placement=placement.name, setting=placement.setting)
        self._ledger.answer(waiting.frame, answer.outputs, origin, stages | answer.stages_s)

    def _send(self, placement: Sender, waiting: _Waiting) -> None:
        frame = waiting.frame
        stages = waiting.stages_until_now()
        remaining = self._ledger.remaining_s(frame)
        if remaining is not None and remaining <= 0:
            self._ledger.drop(frame, "deadline", stages_s=stages)
            return
        assert self._link is not None
        outgoing = placement.pack(frame.image, self._link.dialogue)
        outgoing.capture.sequence = frame.sequence
        remaining = self._ledger.remaining_s(frame)
        if remaining is not None:
            outgoing.capture.deadline_us = min(max(1, round(remaining * 1e6)), _UINT32_MAX)
        stages = stages | outgoing.stages_s
        if self._traces is not None:
            outgoing.capture.traceparent = self._traces.begin(frame)
        try:
            future = self._link.send(outgoing.capture, outgoing.codes)
        except TailUnavailable as error:
            self._ledger.drop(frame, "link", detail=str(error), stages_s=stages)
            return
        sent = _Waiting(frame, stages)
        with self._settled:
            self._due += 1
            self._sent[frame.sequence] = sent
        origin = Origin(placement=placement.name, setting=placement.setting, payload_bytes=outgoing.payload_bytes)
        future.add_done_callback(lambda done: self._receive(done, sent, origin))

    def _receive(self, done: Future[Reply], sent: _Waiting, origin: Origin) -> None:
        """Enter what came of a capture; runs in the thread that reads the answers."""
        try:
            with self._settled:
                awaited = self._sent.pop(sent.frame.sequence, None) is not None
            if awaited:
                self._enter(done, sent, origin)
        except Exception as error:
            # A future swallows what its callbacks raise.
            self._fail(error)
        finally:
            with self._settled:
                self._due -= 1
                self._settled.notify_all()

    def _enter(self, done: Future[Reply], sent: _Waiting, origin: Origin) -> None:
        frame, stages = sent.frame, sent.stages_s
        try:
            reply = done.result()
        except IsthmusError as error:
            reason = "link" if isinstance(error, TailUnavailable) else "server"
            self._ledger.drop(frame, reason, detail=str(error), stages_s=stages)
            return
        server = {f"server {stage}": seconds for stage, seconds in reply.server_s.items()}
        stages = {**stages, "network": reply.network_s, **server}
        if not reply.ok:
            reason = "deadline" if reply.status == "expired" else "server"
            self._ledger.drop(frame, reason, detail=reply.message or reply.status, stages_s=stages)
            return
        try:
            self._ledger.answer(frame, reply.outputs, origin, stages)
        except ContractMismatch as error:
            self._ledger.drop(frame, "server", detail=str(error), stages_s=stages)
