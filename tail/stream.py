"""One device stream: captures in, answers out in the order in which they are done.

Three tasks: the handler waits for the end, a reader takes one message at a time, a writer sends what is ready. Nothing here
grows with what the device does: it may have `captures_in_flight` captures unanswered, and the reader reads no further message
while it works on one, so HTTP/2 flow control holds the rest back at the device.

What is wrong with one capture is answered (`Answer.status`) and the stream goes on. What breaks the conversation (no `open`,
more captures than allowed, sequence numbers that do not grow) ends it with a gRPC status.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from isthmus import __version__
from isthmus.codec.codec import Codec
from isthmus.contract.boundary import point_size
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.errors import (
    ContractMismatch,
    DeviceError,
    IsthmusError,
    LimitExceeded,
    MalformedPayload,
    ReferenceMissing,
    RemoteProtocolError,
    TailUnavailable,
)
from isthmus.tail.batch import Batcher, Job
from isthmus.tail.metrics import Metrics
from isthmus.tail.model import Computed, TailModel, Work
from isthmus.tail.opening import opened, read_open
from isthmus.tail.sessions import Session, Sessions

OPEN_TIMEOUT_S = 10.0
"""From the start of a stream to its `open`: several round trips of the worst link, too short to hold streams for nothing."""
DRAIN_LINGER_S = 0.25
"""How long captures are still read after `drain` was sent: they left the device before it knew, one round trip ago."""
INLINE_CODES_MAX = 65_536
"""Codes of one frame that are decoded on the event loop: below a millisecond. Larger frames go to a thread."""

_log = structlog.get_logger(__name__)


class Pipe(Protocol):
    """The part of grpc.aio's context that a stream needs."""

    async def read(self) -> Any: ...  # noqa: ANN401, D102 - grpc has no types

    async def write(self, message: wire.FromTail) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all streams of a server share."""

    model: TailModel
    batcher: Batcher[Work, Computed]
    sessions: Sessions
    metrics: Metrics
    limits: Limits
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True, eq=False)
class _Pending:
    """A capture that is not answered yet."""

    sequence: int
    placement: str
    arrived_at: float
    decoded: bool = False
    decode_s: float = 0.0
    job: Job[Work, Computed] | None = None


@dataclass(slots=True, eq=False)
class _Ready:
    """An answer on its way out; what is missing is filled in when it is sent."""

    message: wire.FromTail
    pending: _Pending
    queue_s: float = 0.0
    decode_s: float = 0.0
    compute_s: float = 0.0
    post_s: float = 0.0


class Stream:
    """Serves one device until it closes, breaks a rule, is drained or taken over."""

    def __init__(self, house: House, pipe: Pipe, *, number: int, end_marker: object) -> None:
        self._house = house
        self._pipe = pipe
        self._end_marker = end_marker
        self._log = _log.bind(stream=number)
        self._session: Session | None = None
        self._codec: Codec | None = None
        self._received = 0
        self._answered = 0
        self._pending: dict[int, _Pending] = {}
        self._outbox: deque[_Ready | wire.FromTail] = deque()
        self._wake = asyncio.Event()
        self._reading = True
        self.drained = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Run the conversation to its end.

        Raises:
            IsthmusError: the conversation cannot go on; `grpc_status` and message are for the device.
        """
        await self._open()
        self._reader = asyncio.create_task(self._read_all())
        writer = asyncio.create_task(self._write_all())
        self._reader.add_done_callback(self._reader_ended)
        writer.add_done_callback(self._writer_ended)
        try:
            await self._over
        finally:
            self._cancel_pending()
            self._reader.cancel()
            writer.cancel()
            await asyncio.gather(self._reader, writer, return_exceptions=True)
            if self._session is not None:
                self._house.sessions.detach(self._session, self)

    def drain(self, reason: str, grace_s: float) -> None:
        """Tell the device to leave; what it has sent is answered, then the stream ends."""
        self.drained = True
        self._outbox.append(wire.FromTail(drain=wire.Drain(reason=reason, grace_ms=round(grace_s * 1000))))
        self._wake.set()
        asyncio.get_running_loop().call_later(DRAIN_LINGER_S, self._stop_reading)

    def taken_over(self) -> None:
        """Another stream serves the session: end this one."""
        self._cancel_pending()
        self._end(RemoteProtocolError("another stream of this device took the session over"))

    # ------------------------------------------------------------------------------------------------------------ life

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                first = await self._pipe.read()
        except TimeoutError as error:
            raise RemoteProtocolError(f"no open came within {OPEN_TIMEOUT_S:g} s of the stream's start") from error
        if first is self._end_marker:
            raise RemoteProtocolError("the stream ended before its open")
        house = self._house
        offer = read_open(first, house.model, house.limits)
        self._codec = house.model.codec(offer.modes)
        self._session, resumed = house.sessions.attach(
            self, device_id=offer.device_id, digest=house.model.bundle.digest, wanted=offer.session
        )
        # repr: a device id may hold control characters, a log line must not.
        self._log = self._log.bind(device=repr(offer.device_id[:64]), session=self._session.id.hex()[:8])
        self._log.info("stream opened", resumed=resumed, client_version=repr(offer.client_version[:32]))
        self._outbox.append(
            opened(
                self._session, resumed=resumed, codec=self._codec, model=house.model, limits=house.limits,
                server_version=__version__,
            )
        )  # fmt: skip

    def _end(self, error: Exception | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _reader_ended(self, task: asyncio.Task[None]) -> None:
        self._reading = False
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(_as_exception(error))

    def _writer_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            error = task.exception()
            self._end(None if error is None else _as_exception(error))

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    def _cancel_pending(self) -> None:
        for pending in self._pending.values():
            if pending.job is not None:
                pending.job.cancel()
        self._pending.clear()

    # ------------------------------------------------------------------------------------------------------------- out

    async def _write_all(self) -> None:
        while True:
            while self._outbox:
                item = self._outbox.popleft()
                await self._pipe.write(self._finish(item) if isinstance(item, _Ready) else item)
            if not self._reading and not self._pending:
                return
            self._wake.clear()
            await self._wake.wait()

    def _finish(self, ready: _Ready) -> wire.FromTail:
        """Fill in what is known only now. The window opens when an answer leaves, not when it is ready: a device that does not
        read gets no further credit."""  # noqa: D205, D209
        self._answered += 1
        total_s = self._house.clock() - ready.pending.arrived_at
        answer = ready.message.answer
        answer.allowed = self._answered + self._house.limits.captures_in_flight
        seconds = (ready.queue_s, ready.decode_s, ready.compute_s, ready.post_s, total_s)
        queue_us, decode_us, compute_us, post_us, total_us = (_microseconds(spent_s) for spent_s in seconds)
        times = answer.times
        times.queue_us = queue_us
        times.decode_us = decode_us
        times.compute_us = compute_us
        times.post_us = post_us
        times.total_us = total_us
        self._house.metrics.answered(ready.pending.placement, answer.status, seconds)
        return ready.message

    def _answer(self, pending: _Pending, status: wire.Status, message: str = "", *, retry_after_ms: int = 0) -> None:
        """Answer without outputs."""
        answer = wire.Answer(
            sequence=pending.sequence, status=status, message=message, decoded=pending.decoded, retry_after_ms=retry_after_ms
        )
        self._send(_Ready(message=wire.FromTail(answer=answer), pending=pending, decode_s=pending.decode_s))

    def _send(self, ready: _Ready) -> None:
        self._pending.pop(ready.pending.sequence, None)
        self._outbox.append(ready)
        self._wake.set()

    # -------------------------------------------------------------------------------------------------------------- in

    async def _read_all(self) -> None:
        while True:
            message = await self._pipe.read()
            if message is self._end_marker:
                return
            kind = message.WhichOneof("message")
            if kind == "capture":
                await self._capture(message.capture)
            elif kind == "close":
                return
            else:
                raise RemoteProtocolError(f"an open stream takes capture or close, got {kind or 'an empty message'}")

    async def _capture(self, capture: wire.Capture) -> None:
        arrived_at = self._house.clock()
        pending = self._admit(capture, arrived_at)
        try:
            work = await self._work(capture, pending)
        except ReferenceMissing as error:
            self._answer(pending, wire.STATUS_KEY_FRAME_NEEDED, str(error))
            return
        except (RemoteProtocolError, ContractMismatch) as error:
            self._answer(pending, wire.STATUS_INVALID, str(error))
            return
        expires_at = arrived_at + capture.deadline_us / 1e6 if capture.HasField("deadline_us") else None
        if expires_at is not None and self._house.clock() >= expires_at:
            self._answer(pending, wire.STATUS_EXPIRED, "the deadline had passed before the frame was queued")
            return
        self._submit(pending, work, expires_at)

    def _admit(self, capture: wire.Capture, arrived_at: float) -> _Pending:
        """Check the rules of the conversation.

        Raises:
            LimitExceeded: more captures than the window allows.
            RemoteProtocolError: the sequence does not grow.
        """
        allowed = self._answered + self._house.limits.captures_in_flight
        self._received += 1
        if self._received > allowed:
            raise LimitExceeded(f"capture {self._received} of this stream came while {allowed} were allowed; wait for answers")
        session = self._attached()
        if capture.sequence <= session.last_sequence:
            raise RemoteProtocolError(f"sequence {capture.sequence} follows {session.last_sequence}; it must grow")
        session.last_sequence = capture.sequence
        placement = "offload" if capture.WhichOneof("content") == "picture" else "split"
        pending = _Pending(sequence=capture.sequence, placement=placement, arrived_at=arrived_at)
        self._pending[capture.sequence] = pending
        self._house.metrics.received(placement, len(capture.codes) or len(capture.picture.data))
        return pending

    async def _work(self, capture: wire.Capture, pending: _Pending) -> Work:
        content = capture.WhichOneof("content")
        if content == "codes":
            return await self._decode(capture, pending)
        if content != "picture":
            raise MalformedPayload("a capture carries codes or a picture, this one has neither")
        if not self._house.model.takes_pictures:
            raise RemoteProtocolError(f"bundle {self._house.model.bundle.manifest.id!r} takes no pictures; send codes")
        size_bytes, size_max = len(capture.picture.data), self._house.limits.picture_bytes
        if size_bytes > size_max:
            raise LimitExceeded(f"picture of {size_bytes} bytes, at most {size_max} are taken")
        return Work(kind="picture", picture_format=capture.picture.format, picture_data=capture.picture.data)

    async def _decode(self, capture: wire.Capture, pending: _Pending) -> Work:
        """Decode codes and keep them as a reference, in the order of arrival."""
        session, codec = self._attached(), self._codec
        assert codec is not None  # noqa: S101 - set with the session
        if capture.HasField("reference") and session.reference(capture.reference) is None:
            raise ReferenceMissing(f"frame {capture.reference} is not held; send a key frame")
        started = self._house.clock()
        try:
            if 0 <= capture.point < len(codec.points) and point_size(codec.boundary, codec.points[capture.point]) > INLINE_CODES_MAX:
                codes = await asyncio.to_thread(codec.decode, capture.codes, point=capture.point)
            else:
                codes = codec.decode(capture.codes, point=capture.point)
        finally:
            pending.decode_s = self._house.clock() - started
        session = self._attached()
        session.remember(capture.sequence, codes)
        pending.decoded = True
        return Work(kind="codes", codes=codes)

    def _submit(self, pending: _Pending, work: Work, expires_at: float | None) -> None:
        def done(job: Job[Work, Computed]) -> None:
            self._computed(pending, job)

        batcher = self._house.batcher
        try:
            pending.job = batcher.submit(work, done, kind=work.kind, expires_at=expires_at)
        except TailUnavailable as error:
            self._answer(pending, wire.STATUS_OVERLOADED, str(error), retry_after_ms=batcher.retry_after_ms)

    def _computed(self, pending: _Pending, job: Job[Work, Computed]) -> None:
        result = job.result
        if result is None:
            self._failed(pending, job)
            return
        answer = wire.Answer(sequence=pending.sequence, status=wire.STATUS_OK, outputs=result.outputs, decoded=pending.decoded)
        self._send(
            _Ready(
                message=wire.FromTail(answer=answer),
                pending=pending,
                queue_s=job.queue_s,
                decode_s=pending.decode_s + result.decode_s,
                compute_s=result.compute_s,
                post_s=result.post_s,
            )
        )

    def _failed(self, pending: _Pending, job: Job[Work, Computed]) -> None:
        if job.expired:
            self._answer(pending, wire.STATUS_EXPIRED, "the deadline passed while the frame waited")
        elif isinstance(job.error, RemoteProtocolError):
            self._answer(pending, wire.STATUS_INVALID, str(job.error))
        elif isinstance(job.error, (DeviceError, IsthmusError)):
            self._answer(pending, wire.STATUS_FAILED, str(job.error))
        else:
            self._log.error("computing failed", error=repr(job.error))
            self._answer(pending, wire.STATUS_FAILED, "the server failed on this frame; its log says why")

    def _attached(self) -> Session:
        """The session, as long as this stream serves it.

        Raises:
            RemoteProtocolError: another stream has it.
        """
        session = self._session
        if session is None or session.stream is not self:
            raise RemoteProtocolError("another stream of this device took the session over")
        return session


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def _microseconds(spent_s: float) -> int:
    return min(max(round(spent_s * 1e6), 0), 2**32 - 1)
