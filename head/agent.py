"""The device agent: source -> motion gate -> mailbox -> head network and codec -> link -> sinks.

Two threads of its own: one captures and asks the gate, one computes and sends. Between them stands a mailbox of one frame, so
that memory is bounded and, on a live source, the newest frame wins. Answers are entered by the thread that reads them.
"""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from isthmus.errors import IsthmusError, TailUnavailable
from isthmus.head.frame import Frame
from isthmus.head.gate import MotionGate
from isthmus.head.ledger import Ledger, Origin, Summary
from isthmus.head.link import Link
from isthmus.head.mailbox import DropPolicy, Mailbox
from isthmus.head.placement import Local, Outgoing, Sender
from isthmus.head.reply import Reply
from isthmus.head.source import Source

POLL_S = 0.1
"""How often a waiting stage looks whether the run was stopped."""


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
        finish_s: after the source ended, how long to wait for a link, and for answers that are in flight.
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
        finish_s: float = 10.0,
    ) -> None:
        self._source = source
        self._placement = placement
        self._ledger = ledger
        self._link = link
        self._gate = gate
        self._finish_s = finish_s
        self._mailbox: Mailbox[_Waiting] = Mailbox(capacity=1, policy=drop_policy)
        self._stop = threading.Event()
        self._broken: IsthmusError | None = None
        self._due = 0
        self._settled = threading.Condition()

    def stop(self) -> None:
        """End the run after the frames at hand; safe from a signal handler."""
        self._stop.set()

    def run(self) -> Summary:
        """Run until the source ends or `stop` is called.

        Raises:
            SourceError: the source broke.
            ContractMismatch: the server holds another bundle.
        """
        capture = threading.Thread(target=self._capture, name="isthmus-capture", daemon=True)
        capture.start()
        try:
            self._process()
        finally:
            self._stop.set()
            self._mailbox.close()
            capture.join(self._finish_s)
            with self._settled:
                self._settled.wait_for(lambda: self._due == 0, self._finish_s)
        if self._broken:
            raise self._broken
        return self._ledger.summary

    def _capture(self) -> None:
        try:
            while not self._stop.is_set() and (frame := self._source.read()) is not None:
                self._offer(frame)
        except IsthmusError as error:
            self._broken = error
        finally:
            self._mailbox.close()

    def _offer(self, frame: Frame) -> None:
        stages: dict[str, float] = {}
        if self._gate is not None:
            started = time.perf_counter()
            moving = self._gate.decide(frame.image).open
            stages["gate"] = time.perf_counter() - started
            if not moving:
                self._ledger.drop(frame, "gate", stages_s=stages)
                return
        displaced = self._mailbox.put(_Waiting(frame, stages))
        if displaced is not None:
            self._ledger.drop(displaced.frame, "newer", stages_s=displaced.stages_s)

    def _process(self) -> None:
        while self._may_process():
            try:
                waiting = self._mailbox.get(timeout_s=POLL_S)
            except TimeoutError:
                continue
            if waiting is None:
                return
            if isinstance(self._placement, Local):
                self._answer(self._placement, waiting)
            else:
                self._send(self._placement, waiting)

    def _may_process(self) -> bool:
        """Wait for a credit where one is needed; False when the run is over. The newest frame is taken after the credit came."""
        if self._link is None:
            return not self._stop.is_set()
        ended_at: float | None = None
        while not self._link.wait_credit(POLL_S):
            if self._link.failure:
                raise self._link.failure
            if self._mailbox.closed:
                ended_at = ended_at or time.monotonic()
                if not len(self._mailbox) or time.monotonic() - ended_at > self._finish_s:
                    break
        else:
            return True
        for waiting in self._mailbox:
            self._ledger.drop(waiting.frame, "link", detail="no link before the run ended", stages_s=waiting.stages_s)
        return False

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
        outgoing = placement.pack(frame.image)
        outgoing.capture.sequence = frame.sequence
        remaining = self._ledger.remaining_s(frame)
        if remaining is not None:
            outgoing.capture.deadline_us = max(1, round(remaining * 1e6))
        stages = stages | outgoing.stages_s
        assert self._link is not None
        try:
            future = self._link.send(outgoing.capture)
        except TailUnavailable as error:
            self._ledger.drop(frame, "link", detail=str(error), stages_s=stages)
            return
        with self._settled:
            self._due += 1
        future.add_done_callback(lambda done: self._receive(done, frame, placement, outgoing, stages))

    def _receive(
        self, done: Future[Reply], frame: Frame, placement: Sender, outgoing: Outgoing, stages: dict[str, float]
    ) -> None:
        try:
            reply = done.result()
            origin = Origin(placement=placement.name, setting=placement.setting, payload_bytes=outgoing.payload_bytes)
            stages = stages | {"network": reply.network_s}
            stages |= {f"server {stage}": seconds for stage, seconds in reply.server_s.items()}
            if reply.ok:
                self._ledger.answer(frame, reply.outputs, origin, stages)
            else:
                reason = "deadline" if reply.status == "expired" else "server"
                self._ledger.drop(frame, reason, detail=reply.message or reply.status, stages_s=stages)
        except IsthmusError as error:
            self._ledger.drop(frame, "link", detail=str(error), stages_s=stages)
        finally:
            with self._settled:
                self._due -= 1
                self._settled.notify_all()
