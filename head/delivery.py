"""Frames that must be delivered: each has its picture on the disk from its capture until the server's answer is with the sinks.

A frame goes its live way like any other. When that ends without an answer of the server (dropped, or answered by the device
alone), its picture waits, and is sent when the link has room: behind live frames, and at least one a second however many of those
there are. A picture leaves the disk after the sinks have its answer, so that a crash in between makes an answer come twice, with
the same device, session and sequence, and none be lost.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import structlog

from isthmus.contract.limits import DEFAULT
from isthmus.contract.picture import decode_picture, encode_picture
from isthmus.errors import ConfigError, ContractMismatch, DeviceError, IsthmusError, ProtocolError, TailUnavailable
from isthmus.head.kept import Kept
from isthmus.head.ledger import Ledger, Origin
from isthmus.head.link import Link
from isthmus.head.pending import Pending
from isthmus.head.placement import Sender
from isthmus.head.reply import Reply
from isthmus.head.spool import GivesWay, Spool

FORMAT, QUALITY = "jpeg", 90
"""What a network sees of it hardly differs from what it sees of the frame itself."""
UNDER_WAY_MAX = 2
"""One credit of three is left to live frames."""
PROGRESS_S = 1.0
"""A picture is sent at least so often, whatever live frames there are."""
REFUSALS_MAX = 3
"""A picture that the server fails on so often will not be answered."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Which room there is for pictures that must be delivered."""

    folder: Path
    """On the device's disk, for this agent alone."""
    bytes_max: int = 256_000_000
    """Pictures kept at most: some hours of one a second from a camera of 640 x 480."""
    age_max_s: float | None = None
    """Older pictures are not sent any more, by the device's clock; None: they are, however old."""
    gives_way: GivesWay = "oldest"
    """When there is no room: the pictures that were kept first, or the one that comes."""


class Delivery:
    """Keeps pictures, and sends those that wait; use it as a context manager. Safe to use from any thread.

    Args:
        settings: how much is kept.
        ledger: where answers go.
        on_error: told when a sink failed.

    Attributes:
        refused: pictures that could not be kept; their frames had the live way only.
    """

    def __init__(
        self, settings: DeliverySettings, ledger: Ledger, *, on_error: Callable[[Exception], None] = lambda _error: None
    ) -> None:
        self.lock = threading.RLock()
        self.refused = 0
        self.on_error = on_error
        self._settings = settings
        self._ledger = ledger
        self._spool = Spool(settings.folder, bytes_max=settings.bytes_max, gives_way=settings.gives_way)
        self._kept: dict[int, Kept] = {}
        self._done: set[int] = set()
        self._under_way = 0
        self._sent_at = -float("inf")
        self._complaint = ""

    def __enter__(self) -> Self:
        self._spool.__enter__()
        for number in self._spool.numbers:
            self._release_old(number)
        if self._kept:
            _log.info("pictures of an earlier run wait to be delivered", pictures=len(self._kept))
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._spool.__exit__()

    def read_by(self, ledger: Ledger) -> None:
        """Pictures that are sent from now on are answered by another bundle."""
        self._ledger = ledger

    @property
    def waiting(self) -> int:
        """Pictures that wait to be sent from the disk."""
        with self.lock:
            return sum(kept.waits for kept in self._kept.values())

    @property
    def outstanding(self) -> int:
        """Pictures without an answer of the server, those of live frames too."""
        return len(self._kept)

    def facts(self) -> dict[str, float]:
        """For the page of the agent."""
        return {
            "queue_pictures": len(self._kept),
            "queue_bytes": self._spool.size_bytes,
            "queue_refused_pictures": self.refused,
            "queue_delivered_pictures": self._ledger.summary.delivered,
            "queue_lost_pictures": self._ledger.summary.lost,
        }

    def keep(self, pending: Pending) -> None:
        """Put the picture of a frame on the disk; where the disk does not take it, the frame goes its live way only."""
        identity = self._ledger.identify(pending.frame)
        with self.lock:
            try:
                picture = encode_picture(pending.frame.image, FORMAT, QUALITY)
                number, lost = self._spool.add(identity, picture, forget=self._done, may_go=self._may_go)
            except (ConfigError, DeviceError) as error:
                self.refused += 1
                self._complain(str(error))
                self._see_what_is_there()
                return
            self._complaint = ""
            self._done.clear()
            if lost:
                self._see_what_is_there()
            pending.kept = self._kept[number] = Kept(number, identity, self.lock, self.done)
        for gone in lost:
            self._ledger.lose(gone, "queue", "newer pictures needed the room")

    def done(self, kept: Kept) -> None:
        """The sinks have an answer; the picture leaves with the next write."""
        with self.lock:
            self._kept.pop(kept.number, None)
            self._done.add(kept.number)

    def flush(self) -> None:
        """Let pictures leave that are not needed any more."""
        with self.lock:
            try:
                self._spool.forget(self._done)
            except (ConfigError, DeviceError) as error:
                self._complain(str(error))
            else:
                self._done.clear()

    def is_due(self, *, is_idle: bool) -> bool:
        """Whether a picture is to be sent from the disk now, if there is a credit: no live frame waits, or long none was sent."""
        if not self._kept or self._under_way >= UNDER_WAY_MAX or not self.waiting:
            return False
        return is_idle or time.monotonic() - self._sent_at > PROGRESS_S

    def send_next(self, link: Link, placement: Sender) -> None:
        """Send the picture that waits longest."""
        self.flush()
        with self.lock:
            kept = next((kept for kept in self._kept.values() if kept.waits), None)
            if kept is None:
                return
            kept.take()
        picture = self._picture(kept)
        if picture is None:
            return
        outgoing = placement.pack(picture, link.dialogue)
        if outgoing.verdict == "drop":
            self.done(kept)
            self._ledger.dismiss(kept.identity, "filter")
            return
        outgoing.capture.sequence = link.next_sequence()
        origin = Origin(
            placement=placement.name,
            setting=placement.setting,
            payload_bytes=outgoing.payload_bytes,
            audited=outgoing.verdict == "audit",
        )
        try:
            future = link.send(outgoing.capture, outgoing.codes)
        except (TailUnavailable, ProtocolError):
            kept.land()
            return
        with self.lock:
            self._under_way += 1
            self._sent_at = time.monotonic()
        enter = partial(self._enter, kept=kept, picture=picture, origin=origin, stages_s=outgoing.stages_s, ledger=self._ledger)
        future.add_done_callback(lambda done: self._receive(done, enter))

    def _picture(self, kept: Kept) -> np.ndarray | None:
        """What is to be sent; None, and the picture is lost, if it is too old or damaged."""
        age_s = time.time() - kept.identity.captured_at
        if self._settings.age_max_s is not None and age_s > self._settings.age_max_s:
            self._lose(kept, "queue", f"it waited {age_s:.0f} s, {self._settings.age_max_s:g} s are allowed")
            return None
        try:
            _, data = self._spool.read(kept.number)
            return decode_picture(data, FORMAT, pixels_max=DEFAULT.picture_pixels * 16)
        except IsthmusError as error:
            self._lose(kept, "queue", str(error))
            self._see_what_is_there()
            return None

    def _receive(self, done: Future[Reply], enter: Callable[[Future[Reply]], None]) -> None:
        with self.lock:
            self._under_way -= 1
        try:
            enter(done)
        except Exception as error:
            # A future swallows what its callbacks raise. The picture stays on the disk.
            self.on_error(error)

    def _enter(
        self,
        done: Future[Reply],
        *,
        kept: Kept,
        picture: np.ndarray,
        origin: Origin,
        stages_s: dict[str, float],
        ledger: Ledger,
    ) -> None:
        try:
            reply = done.result()
            refusal = "" if reply.ok else reply.message or reply.status
        except TailUnavailable:
            kept.land()
            return
        except IsthmusError as error:
            refusal = str(error)
        if not refusal:
            server = {f"server {stage}": seconds for stage, seconds in reply.server_s.items()}
            stages_s = {**stages_s, "network": reply.network_s, **server}
            try:
                ledger.deliver(kept.identity, picture, reply.outputs, origin, stages_s)
            except ContractMismatch as error:
                refusal = str(error)
            else:
                kept.answered()
                return
        # A server without room is no refusal: the link sends nothing for as long as it asked.
        kept.refusals += reply.status not in ("overloaded", "key_frame_needed") if done.exception() is None else 1
        if kept.refusals >= REFUSALS_MAX:
            self._lose(kept, "server", refusal)
        else:
            kept.land()

    def _lose(self, kept: Kept, reason: str, detail: str) -> None:
        self.done(kept)
        self._ledger.lose(kept.identity, reason, detail)

    def _may_go(self, number: int) -> bool:
        """Pictures of frames that are on their live way or being sent do not give way."""
        kept = self._kept.get(number)
        return kept is None or kept.waits

    def _see_what_is_there(self) -> None:
        """The disk may have lost pictures: those that gave way, and all of a file that was damaged."""
        there = set(self._spool.numbers)
        for number in [number for number, kept in self._kept.items() if number not in there and kept.waits]:
            del self._kept[number]

    def _release_old(self, number: int) -> None:
        try:
            kept = Kept(number, self._spool.identity(number), self.lock, self.done)
        except DeviceError as error:
            self._complain(str(error))
            return
        kept.release()
        self._kept[number] = kept

    def _complain(self, words: str) -> None:
        """Once, until it is something else or over."""
        if words != self._complaint:
            _log.warning("queue", reason=words)
        self._complaint = words
