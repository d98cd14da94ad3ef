"""What the server remembers of a device between streams: its last decoded frames.

A session outlives its stream, so that a device whose link broke goes on without a key frame. It belongs to one device id, one
contract and, where callers prove who they are, one caller; an id that does not fit is treated as unknown, so that guessing ids
tells nothing. Memory is bounded by the number of sessions, of which those without a stream that were used least recently go
first, and by the bytes of their frames, whatever bundles they belong to: sessions that decoded nothing for longest lose their
frames, their devices are asked for a key frame, and nothing else is lost.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import Overloaded

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
    owner: str
    device_id: str
    digest: str
    last_used_at: float
    last_sequence: int = -1
    stream: Attached | None = None
    size_bytes: int = 0
    """Of the frames held."""
    _references: OrderedDict[int, tuple[np.ndarray, ...]] = field(default_factory=OrderedDict)

    def remember(self, sequence: int, codes: tuple[np.ndarray, ...], kept: int) -> None:
        """Keep a decoded frame and the newest ones before it, `kept` in all."""
        self._references[sequence] = codes
        self.size_bytes += _size(codes)
        while len(self._references) > kept:
            self._forget_oldest()

    def forget_frames(self) -> None:
        """Keep none."""
        self._references.clear()
        self.size_bytes = 0

    def _forget_oldest(self) -> None:
        _, codes = self._references.popitem(last=False)
        self.size_bytes -= _size(codes)

    def reference(self, sequence: int) -> tuple[np.ndarray, ...] | None:
        """The codes of a frame, None if it is not held."""
        return self._references.get(sequence)

    @property
    def references(self) -> tuple[int, ...]:
        """Sequence numbers of the frames held, oldest first."""
        return tuple(self._references)


class Sessions:
    """All sessions of a server.

    Args:
        count_max: sessions kept, with and without a stream.
        bytes_max: memory for the frames of all sessions; the session that the latest frame came to keeps its own in any case.
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
        self._idle_s = idle_s
        self._references_kept = references_kept
        self._clock = clock
        # In the order of last use, so that what goes first stands first.
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        # Those with frames, in the order of their latest frame.
        self._holding: OrderedDict[bytes, Session] = OrderedDict()
        self.size_bytes = 0
        """Of the frames of all sessions."""

    def __len__(self) -> int:
        return len(self._sessions)

    def attach(
        self, stream: Attached, *, device_id: str, digest: str, owner: str = "", wanted: bytes = b""
    ) -> tuple[Session, bool]:
        """Give a stream its session.

        Args:
            stream: ends when another stream attaches to the same session.
            device_id: as the device calls itself.
            digest: contract digest of the bundle.
            owner: the caller, empty where callers are not known.
            wanted: id of an earlier session, or nothing.

        Returns:
            The session, and whether it is the one that was wanted.

        Raises:
            Overloaded: all sessions are in use.
        """
        self._forget_idle()
        session = self._sessions.get(wanted)
        belongs = (owner, device_id, digest)
        if session is not None and (session.owner, session.device_id, session.digest) == belongs:
            if session.stream is not None:
                session.stream.taken_over()
            session.stream = stream
            self._touch(session)
            return session, True
        self._make_room()
        session = Session(
            id=secrets.token_bytes(ID_BYTES),
            owner=owner,
            device_id=device_id,
            digest=digest,
            last_used_at=self._clock(),
            stream=stream,
        )
        self._sessions[session.id] = session
        return session, False

    def remember(self, session: Session, sequence: int, codes: tuple[np.ndarray, ...]) -> None:
        """Keep a decoded frame of a session; where there is too much, others lose theirs."""
        before = session.size_bytes
        session.remember(sequence, codes, self._references_kept)
        # A session that was taken over and then made room for others is not counted any more.
        if session.id not in self._sessions:
            return
        self._touch(session)
        self.size_bytes += session.size_bytes - before
        self._holding[session.id] = session
        self._holding.move_to_end(session.id)
        while self.size_bytes > self._bytes_max and len(self._holding) > 1:
            _, quiet = self._holding.popitem(last=False)
            self.size_bytes -= quiet.size_bytes
            quiet.forget_frames()

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

    def _make_room(self) -> None:
        if len(self._sessions) < self._count_max:
            return
        oldest = next(iter(self._without_stream()), None)
        if oldest is None:
            raise Overloaded(f"all {self._count_max} sessions have a stream; try another server, or again later")
        self._drop(oldest)

    def _without_stream(self) -> list[Session]:
        """Used least recently first."""
        return [session for session in self._sessions.values() if session.stream is None]

    def _drop(self, session: Session) -> None:
        self.size_bytes -= session.size_bytes
        self._holding.pop(session.id, None)
        del self._sessions[session.id]


def _size(codes: tuple[np.ndarray, ...]) -> int:
    return sum(array.nbytes for array in codes)
