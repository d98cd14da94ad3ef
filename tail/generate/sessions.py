"""What the server remembers of conversations: their caches of keys and values, and the replies to their last steps.

A session outlives its stream, so that a device whose link broke goes on where it was. It belongs to one client, one device id,
one contract and one layout; an id that does not fit is treated as unknown. It is kept for a lease without a step, with a stream
or without: a device that comes later is told how many positions are held, and sends the rest again.

The memory of a session is reserved when it opens, by the positions that the device expects, and more when it grows past them.
What a client may hold is bounded, and so are all together; where room is needed, sessions without a stream go first, those used
least recently before others.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices.decoder.cache import Cache
from isthmus.devices.sampler import Sampling
from isthmus.errors import Overloaded, QuotaExceeded
from isthmus.tail.streams.sessions import ID_BYTES

REPLIES_KEPT = 8
"""Of each session: more than steps can be in flight, so that whatever is asked again after a broken link is there."""
ROOM_RETRY_MS = 5000
"""Conversations last for minutes; a lease or a stream may end by then."""
_MIB = 1 << 20


class Attached(Protocol):
    """The stream that serves a session."""

    def taken_over(self) -> None:
        """Another stream serves the session from now on; end."""


@dataclass(slots=True, eq=False, kw_only=True)
class Session:
    """One conversation."""

    id: bytes
    client: str
    """Whose quota it counts to."""
    belongs: tuple[str, ...]
    """Client, device id, contract and layout: who may resume it."""
    sampling: Sampling
    cache: Cache | None = None
    size_bytes: int = 0
    """Reserved for the cache."""
    answer: list[int] = field(default_factory=list)
    """Tokens drawn since the last prompt, for the repetition penalty."""
    answer_end: int = 0
    """Position of the last of them."""
    last_sequence: int = 0
    replies: OrderedDict[int, wire.Tokens] = field(default_factory=OrderedDict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the step in progress, of whichever stream."""
    stream: Attached | None = None
    last_used_at: float = 0.0

    @property
    def positions(self) -> int:
        """That its cache holds."""
        return 0 if self.cache is None else self.cache.length

    def remember(self, reply: wire.Tokens) -> None:
        """Keep the reply to a step."""
        self.last_sequence = reply.sequence
        self.replies[reply.sequence] = reply
        while len(self.replies) > REPLIES_KEPT:
            self.replies.popitem(last=False)

    def answer_before(self, pos: int, count: int) -> list[int]:
        """Tokens of the answer that rows go on with, the last row's among them; none where they begin another prompt.

        Args:
            pos: of the first row.
            count: of rows; a single one is that of a token which was drawn.
        """
        begin = self.answer_end - len(self.answer) + 1
        if count != 1 or not begin <= pos <= self.answer_end:
            return []
        return self.answer[: pos - begin + 1]

    def drew(self, before: list[int], token: int, pos: int) -> None:
        """A token was drawn for position `pos`, behind those of `before`."""
        self.answer, self.answer_end = [*before, token], pos


class LanguageSessions:
    """All conversations of a server; only the event loop touches them.

    Args:
        bytes_max: for the caches of all.
        client_bytes_max: for those of one client; None is without limit.
        lease_s: how long one is kept without a step.
        clock: seconds, monotonic.
    """

    def __init__(
        self, *, bytes_max: int, client_bytes_max: int | None, lease_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes_max = bytes_max
        self._client_bytes_max = client_bytes_max
        self.lease_s = lease_s
        self._clock = clock
        # In the order of last use, so that what goes first stands first.
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self.size_bytes = 0
        """Reserved for the caches of all."""

    def __len__(self) -> int:
        return len(self._sessions)

    def attach(
        self, stream: Attached, *, belongs: tuple[str, ...], sampling: Sampling, wanted: bytes = b""
    ) -> tuple[Session, bool]:
        """Give a stream its session.

        Args:
            stream: ends when another stream attaches to the same session.
            belongs: client, device id, contract and layout.
            sampling: of the conversation.
            wanted: id of an earlier session, or nothing.

        Returns:
            The session, and whether it is the one that was wanted.
        """
        self.sweep()
        session = self._sessions.get(wanted)
        resumed = session is not None and session.belongs == belongs
        if session is None or not resumed:
            session = Session(id=secrets.token_bytes(ID_BYTES), client=belongs[0], belongs=belongs, sampling=sampling)
            self._sessions[session.id] = session
        elif session.stream is not None:
            session.stream.taken_over()
        session.stream, session.sampling = stream, sampling
        self.touch(session)
        return session, resumed

    def touch(self, session: Session) -> None:
        """It was used now."""
        session.last_used_at = self._clock()
        if session.id in self._sessions:
            self._sessions.move_to_end(session.id)

    def detach(self, session: Session, stream: Attached, *, forget: bool = False) -> None:
        """The stream has ended; the session stays for its lease, unless another stream has it already or `forget` ends it."""
        if session.stream is stream:
            session.stream = None
            if (forget or session.cache is None) and not session.turn.locked():
                self._drop(session)

    def reserve(self, session: Session, size_bytes: int) -> None:
        """Reserve memory for a session's cache, in place of what it had.

        Raises:
            QuotaExceeded: its client may not hold so much.
            Overloaded: there is no room, whoever asks.
        """
        self.sweep()
        more = size_bytes - session.size_bytes
        self._check_quota(session, more)
        while self.size_bytes + more > self._bytes_max and (oldest := self._oldest_idle(session)) is not None:
            self._drop(oldest)
        if self.size_bytes + more > self._bytes_max:
            raise Overloaded(
                f"caches of {len(self)} conversations hold {_mib(self.size_bytes)} of {_mib(self._bytes_max)}, this one needs "
                f"{_mib(more)} more; try another server, or again later",
                retry_after_ms=ROOM_RETRY_MS,
            )
        session.size_bytes += more
        self.size_bytes += more

    def forget(self, digest: str) -> None:
        """Nothing of this contract is served any more: drop its sessions without a stream."""
        for session in list(self._sessions.values()):
            if digest in session.belongs and session.stream is None and not session.turn.locked():
                self._drop(session)

    def sweep(self) -> None:
        """End what has outlived its lease: sessions without a stream, and the caches of those with one."""
        oldest_kept = self._clock() - self.lease_s
        for session in list(self._sessions.values()):
            if session.last_used_at > oldest_kept:
                return
            if session.turn.locked():
                continue
            if session.stream is None:
                self._drop(session)
            else:
                self._release(session)

    def _check_quota(self, session: Session, more: int) -> None:
        if self._client_bytes_max is None:
            return
        mine = [other for other in self._sessions.values() if other.client == session.client]
        held = sum(other.size_bytes for other in mine)
        for other in mine:
            # Its own conversations that nobody speaks in any more are the first to go.
            if held + more > self._client_bytes_max and other is not session and other.stream is None and not other.turn.locked():
                held -= other.size_bytes
                self._drop(other)
        if held + more > self._client_bytes_max:
            raise QuotaExceeded(
                f"this client's conversations hold {_mib(held)} of {_mib(self._client_bytes_max)} that it may, this one needs "
                f"{_mib(more)} more; end one, or ask for fewer positions",
                retry_after_ms=ROOM_RETRY_MS,
            )

    def _oldest_idle(self, asking: Session) -> Session | None:
        idle = (one for one in self._sessions.values() if one.stream is None and one is not asking and not one.turn.locked())
        return next(idle, None)

    def _drop(self, session: Session) -> None:
        self._release(session)
        self._sessions.pop(session.id, None)

    def _release(self, session: Session) -> None:
        if session.cache is not None:
            session.cache.close()
        session.cache = None
        self.size_bytes -= session.size_bytes
        session.size_bytes = 0


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"
