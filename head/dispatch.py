"""The way of a frame onto the link: packed by a sender, numbered, with the time that is left; and a pilot is told of it."""

from concurrent.futures import Future

from isthmus.head.frame import Frame
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.pilot import Pilot
from isthmus.head.placement import Outgoing, Sender
from isthmus.head.reply import Reply

_UINT32_MAX = 2**32 - 1


class Dispatch:
    """Packs and sends frames.

    Args:
        link: where captures go.
        ledger: knows the deadline.
        pilot: learns from every capture; None: nobody does.
    """

    def __init__(self, link: Link, ledger: Ledger, pilot: Pilot | None = None) -> None:
        self._link = link
        self._ledger = ledger
        self._pilot = pilot

    def pack(self, sender: Sender, frame: Frame) -> Outgoing:
        """Make the capture of a frame."""
        outgoing = sender.pack(frame.image, self._link.dialogue)
        outgoing.capture.sequence = frame.sequence
        remaining_s = self._ledger.remaining_s(frame)
        if remaining_s is not None:
            outgoing.capture.deadline_us = min(max(1, round(remaining_s * 1e6)), _UINT32_MAX)
        return outgoing

    def send(self, sender: Sender, outgoing: Outgoing) -> Future[Reply]:
        """Give a capture to the link.

        Raises:
            TailUnavailable: no stream is open.
        """
        future = self._link.send(outgoing.capture, outgoing.codes)
        if self._pilot is not None:
            self._pilot.sent(outgoing.capture.sequence, sender, outgoing, future)
        return future
