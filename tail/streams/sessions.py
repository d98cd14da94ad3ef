"""What the server remembers of a device between streams: its last decoded frames.

A session outlives its stream, so that a device whose link broke goes on without a key frame. It belongs to one device id and
one contract; an id that does not fit is treated as unknown, so that guessing ids tells nothing. Number and memory of the sessions
are bounded; those that have no stream and were used least recently go first.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import TailUnavailable

ID_BYTES = 16
"""As many random bits as a UUID: not to be guessed."""


class Attached(Protocol):
    """The stream that serves a session."""

    def taken_over(self) -> None:
        """Another stream serves the session from now on; end."""

    async def fetch(self, sequence: int, timeout_s: float) -> wire.Evidence:
        """Ask the device for the picture of a frame."""


@dataclass(slots=True, eq=False)
class Session:
    """One device's frames; the codes are arrays as `Codec.decode` gives them."""

    id: bytes
    device_id: str
    digest: str
    last_used_at: float
    references_kept: int
    frame_bytes: int
    last_sequence: int = -1
    stream: Attached | None = None
    _references: OrderedDict[int, tuple[np.ndarray, ...]] = field(default_factory=OrderedDict)

    def remember(self, sequence: int, codes: tuple[np.ndarray, ...]) -> None:
        """Keep a decoded frame; the oldest one goes."""
        self._references[sequence] = codes
        while len(self._references) > self.references_kept:
            self._references.popitem(last=False)

    def reference(self, sequence: int) -> tuple[np.ndarray, ...] | None:
        """The codes of a frame, None if it is not held."""
        return self._references.get(sequence)

    @property
    def bytes_max(self) -> int:
        """Memory that its frames may take."""
        return self.frame_bytes * self.references_kept

    @property
    def references(self) -> tuple[int, ...]:
        """Sequence numbers of the frames held, oldest first."""
        return tuple(self._references)


class Sessions:
    """All sessions of a server.

    Args:
        count_max: sessions kept, with and without a stream.
        bytes_max: memory for the frames of all sessions. Those without a stream go when it is passed; a stream gets a session
            nonetheless, so that the true bound is what `count_max` streams hold if that is more.
        idle_s: time after which a session without a stream is forgotten.
        references_kept: frames kept for each session.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        count_max: int,
        bytes_max: int,
        idle_s: float,
        references_kept: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._idle_s = idle_s
        self._references_kept = references_kept
        self._clock = clock
        # In the order of last use, so that what goes first stands first.
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def attach(
        self, stream: Attached, *, device_id: str, digest: str, frame_bytes: int, wanted: bytes = b""
    ) -> tuple[Session, bool]:
        """Give a stream its session.

        Args:
            stream: ends when another stream attaches to the same session.
            device_id: as the device calls itself.
            digest: contract digest of the bundle.
            frame_bytes: memory of one of its frames.
            wanted: id of an earlier session, or nothing.

        Returns:
            The session, and whether it is the one that was wanted.

        Raises:
            TailUnavailable: all sessions are in use.
        """
        self._forget_idle()
        session = self._sessions.get(wanted)
        if session is not None and session.device_id == device_id and session.digest == digest:
            if session.stream is not None:
                session.stream.taken_over()
            session.stream = stream
            self._touch(session)
            return session, True
        self._make_room(frame_bytes * self._references_kept)
        session = Session(
            id=secrets.token_bytes(ID_BYTES),
            device_id=device_id,
            digest=digest,
            last_used_at=self._clock(),
            references_kept=self._references_kept,
            frame_bytes=frame_bytes,
            stream=stream,
        )
        self._sessions[session.id] = session
        self._bytes += session.bytes_max
        return session, False

    def detach(self, session: Session, stream: Attached) -> None:
        """The stream has ended; the session stays for a while, unless another stream has it already."""
        if session.stream is stream:
            session.stream = None
            self._touch(session)

    def stream_of(self, device_id: str, wanted: bytes = b"") -> Attached | None:
        """The stream of a device, None if it has none here; the session used last where none is named."""
        for session in reversed(self._sessions.values()):
            if session.device_id == device_id and wanted in (b"", session.id) and session.stream is not None:
                return session.stream
        return None

    def forget(self, digest: str) -> None:
        """Nothing of this contract is served any more: drop its sessions without a stream."""
        for session in self._without_stream():
            if session.digest == digest:
                self._drop(session)

    def _touch(self, session: Session) -> None:
        session.last_used_at = self._clock()
        self._sessions.move_to_end(session.id)

    def _forget_idle(self) -> None:
        oldest_kept = self._clock() - self._idle_s
        for session in self._without_stream():
            if session.last_used_at > oldest_kept:
                return
            self._drop(session)

    def _make_room(self, needed_bytes: int) -> None:
        for session in self._without_stream():
            if len(self._sessions) < self._count_max and self._bytes + needed_bytes <= self._bytes_max:
                return
            self._drop(session)
        if len(self._sessions) >= self._count_max:
            raise TailUnavailable(f"all {self._count_max} sessions have a stream; try another server, or again later")

    def _without_stream(self) -> list[Session]:
        """Used least recently first."""
        return [session for session in self._sessions.values() if session.stream is None]

    def _drop(self, session: Session) -> None:
        del self._sessions[session.id]
        self._bytes -= session.bytes_max
