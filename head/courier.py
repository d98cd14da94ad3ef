"""Sends frames: packs each by a placement, with the time that is left for it, and sees it off."""

import contextlib
from concurrent.futures import Future

from isthmus.errors import TailUnavailable
from isthmus.head.flight import Flight, GiveUp
from isthmus.head.frame import Frame
from isthmus.head.ledger import Ledger, Origin
from isthmus.head.link import Link
from isthmus.head.pending import Pending
from isthmus.head.pilot import Pilot
from isthmus.head.placement import Outgoing, Sender
from isthmus.head.reply import Reply
from isthmus.head.tracing import FrameTraces

_UINT32_MAX = 2**32 - 1


class Courier:
    """Sends frames over one link.

    Args:
        link: where captures go; a credit must be in hand for each.
        ledger: knows how much time is left for a frame.
        flight: sees to the replies.
        give_up: gets frames that were not sent, the reason and the same in words.
        pilot: learns from every capture; None: nobody does.
        traces: begins the trace of each frame that is sent.
    """

    def __init__(
        self,
        link: Link,
        ledger: Ledger,
        flight: Flight,
        *,
        give_up: GiveUp,
        pilot: Pilot | None = None,
        traces: FrameTraces | None = None,
    ) -> None:
        self.flight = flight
        self._link = link
        self._ledger = ledger
        self._give_up = give_up
        self._pilot = pilot
        self._traces = traces

    def send(self, placement: Sender, pending: Pending) -> None:
        """Send one frame, unless the device is faster with it."""
        frame = pending.frame
        pending.stages_s = pending.stages_until_now()
        remaining = self._ledger.remaining_s(frame)
        if remaining is not None and remaining <= 0:
            self._give_up(pending, "deadline", "")
            return
        outgoing = self._pack(placement, frame)
        pending.stages_s |= outgoing.stages_s
        if outgoing.verdict == "drop":
            pending.dismiss(self._ledger, "filter")
            return
        if pending.settled or (pending.kept is not None and not pending.kept.depart()):
            return
        if self._traces is not None:
            outgoing.capture.traceparent = self._traces.begin(frame)
        try:
            future = self._send(placement, outgoing)
        except TailUnavailable as error:
            if pending.kept is not None:
                pending.kept.land()
            self._give_up(pending, "link", str(error))
            return
        origin = Origin(
            placement=placement.name,
            setting=placement.setting,
            payload_bytes=outgoing.payload_bytes,
            audited=outgoing.verdict == "audit",
        )
        self.flight.expect(future, pending, origin)

    def probe(self, placement: Sender, pending: Pending) -> None:
        """Send a frame that the device answers, for news of the link; one in which nothing is to be seen is not worth it."""
        outgoing = self._pack(placement, pending.frame)
        if outgoing.verdict != "drop":
            with contextlib.suppress(TailUnavailable):
                self._send(placement, outgoing)

    def _pack(self, placement: Sender, frame: Frame) -> Outgoing:
        outgoing = placement.pack(frame.image, self._link.dialogue)
        outgoing.capture.sequence = self._link.next_sequence(frame.sequence)
        remaining = self._ledger.remaining_s(frame)
        if remaining is not None:
            outgoing.capture.deadline_us = min(max(1, round(remaining * 1e6)), _UINT32_MAX)
        return outgoing

    def _send(self, placement: Sender, outgoing: Outgoing) -> Future[Reply]:
        """Give a capture to the link.

        Raises:
            TailUnavailable: no stream is open.
        """
        future = self._link.send(outgoing.capture, outgoing.codes)
        if self._pilot is not None:
            self._pilot.sent(outgoing.capture.sequence, placement, outgoing, future)
        return future
