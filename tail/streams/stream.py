"""One device stream: captures in, answers out in the order in which they are done.

Three tasks: the handler waits for the end, a reader takes one message at a time, a writer sends what is ready. Nothing here
grows with what the device does: it may have `captures_in_flight` captures unanswered, and the reader reads no further message
while it works on one, so HTTP/2 flow control holds the rest back at the device.

What is wrong with one capture is answered (`Answer.status`) and the stream goes on. What breaks the conversation (no `open`,
more captures than allowed, sequence numbers that do not grow) ends it with a gRPC status.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from google.protobuf.message import DecodeError

from isthmus import __version__
from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.devices.tracing import Tracing
from isthmus.errors import (
    ContractMismatch,
    IsthmusError,
    LimitExceeded,
    MalformedPayload,
    Overloaded,
    ReferenceMissing,
    RemoteProtocolError,
    TailUnavailable,
)
from isthmus.tail.admission.client import Client
from isthmus.tail.catalog import Catalog
from isthmus.tail.job import Job
from isthmus.tail.model import Computed, Work
from isthmus.tail.security.identity import current
from isthmus.tail.served import Served
from isthmus.tail.streams.inquiries import Inquiries
from isthmus.tail.streams.opening import opened, read_open
from isthmus.tail.streams.outbox import Outbox, Pending
from isthmus.tail.streams.sessions import Session, Sessions
from isthmus.tail.watching.figures import StreamFigures
from isthmus.tail.watching.metrics import Metrics
from isthmus.tail.watching.text import printable
from isthmus.tail.watching.tracing import trace_of

OPEN_TIMEOUT_S = 10.0
"""From the start of a stream to its `open`: several round trips of the worst link, too short to hold streams for nothing."""
DRAIN_LINGER_S = 1.0
"""How long captures are still read after `drain` was sent, and half of the grace at most: they left the device before it knew,
one round trip ago, and the worst links take that long. A well-mannered device closes as soon as it has its answers."""

_TAKEN_OVER = "another stream of this device took the session over"
_log = structlog.get_logger(__name__)


class Pipe(Protocol):
    """The part of grpc.aio's context that a stream needs."""

    async def read(self) -> Any:  # noqa: ANN401 - a message, or gRPC's end marker
        """The next message of the device."""

    async def write(self, message: wire.FromTail) -> None:
        """Send one message; returns when the transport has taken it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all streams of a server share."""

    catalog: Catalog
    sessions: Sessions
    metrics: Metrics
    limits: Limits
    tracing: Tracing | None = None
    clock: Callable[[], float] = time.monotonic


class DeviceStream:
    """Serves one device until it closes, breaks a rule, is drained or taken over.

    Args:
        house: what the server has.
        pipe: where messages come from and go to.
        client: whose stream it is.
        number: names the stream in the log.
        end_marker: what `pipe.read` gives after the last message.
    """

    def __init__(self, house: House, pipe: Pipe, *, client: Client, number: int, end_marker: object) -> None:
        self._house = house
        self._pipe = pipe
        self._end_marker = end_marker
        self._client = client
        self.number = number
        self._log = _log.bind(stream=number)
        self._outbox = Outbox(window=house.limits.captures_in_flight, client=client, clock=house.clock)
        self._inquiries = Inquiries(self._outbox.put)
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None
        self.served: Served | None = None
        """What the device opened, None before that."""
        self.ended = asyncio.Event()
        self._served: Served
        self._codec: Codec
        self._session: Session
        self._figures: StreamFigures
        self._received = 0
        self.device_id = ""
        """As the device calls itself, once it did."""
        self.drained = False
        self.superseded = False

    async def serve(self) -> None:
        """Run the conversation to its end.

        Raises:
            IsthmusError: the conversation cannot go on; `grpc_status` and message are for the device.
        """
        offer = await self._read_open()
        self.device_id = offer.device_id
        if self.drained:
            raise TailUnavailable("this server is draining; use another one, or come back later")
        self._served = self.served = self._house.catalog.find_contract(offer.contract_digest.hex(), offer.bundle)
        self._codec = self._served.model.codec(offer.modes)
        self._session, resumed = self._house.sessions.attach(
            self,
            device_id=offer.device_id,
            digest=self._served.bundle.digest,
            owner=current().owner,
            wanted=offer.session,
        )
        session = self._session.id.hex()[:8]
        self._log = self._log.bind(device=printable(offer.device_id), caller=str(current()), session=session)
        self._figures = self._house.metrics.of(self._served).open_stream(
            number=self.number, device_id=offer.device_id, session=session, resumed=resumed, opened_at=self._house.clock()
        )
        self._log.info("stream opened", resumed=resumed, client_version=printable(offer.client_version))
        try:
            await self._converse(resumed)
        finally:
            self._figures.close()
            self._house.sessions.detach(self._session, self)
            self._log.info("stream ended", captures=self._received, drained=self.drained)

    def drain(self, reason: str, grace_s: float) -> None:
        """Ask the device to leave; what it has sent is answered, then the stream ends."""
        self.drained = True
        self._outbox.put(wire.FromTail(drain=wire.Drain(reason=reason, grace_ms=round(grace_s * 1000))))
        asyncio.get_running_loop().call_later(min(DRAIN_LINGER_S, grace_s / 2), self._stop_reading)

    def cut(self, reason: str) -> None:
        """End the stream now, whatever is unanswered."""
        self._outbox.cancel()
        self._end(TailUnavailable(reason))

    def taken_over(self) -> None:
        """Another stream serves the session: end this one."""
        self.superseded = True
        self._outbox.cancel()
        self._end(RemoteProtocolError(_TAKEN_OVER))

    async def fetch(self, sequence: int, timeout_s: float) -> wire.Evidence:
        """Ask the device for the picture of a frame; see `Inquiries.ask`."""
        return await self._inquiries.ask(sequence, timeout_s)

    async def _read_open(self) -> wire.Open:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                first = await self._read()
        except TimeoutError as error:
            raise RemoteProtocolError(f"no open came within {OPEN_TIMEOUT_S:g} s of the stream's start") from error
        if first is self._end_marker:
            raise RemoteProtocolError("the stream ended before its open")
        return read_open(first, self._house.limits)

    async def _read(self) -> Any:  # noqa: ANN401
        try:
            return await self._pipe.read()
        except DecodeError as error:
            raise RemoteProtocolError(f"the device sent bytes that are no message of isthmus.v1 ({error})") from error

    async def _converse(self, resumed: bool) -> None:
        house = self._house
        self._outbox.put(
            opened(
                self._session,
                resumed=resumed,
                codec=self._codec,
                model=self._served.model,
                limits=house.limits,
                allowed=self._outbox.begin(),
                server_version=__version__,
            )
        )
        self._reader = asyncio.create_task(self._read_all())
        writer = asyncio.create_task(self._outbox.write_all(self._pipe.write))
        self._reader.add_done_callback(self._reader_ended)
        writer.add_done_callback(self._writer_ended)
        try:
            await self._over
        finally:
            self._outbox.cancel()
            self._inquiries.end()
            self._client.forget(self._outbox)
            self._reader.cancel()
            writer.cancel()
            await asyncio.gather(self._reader, writer, return_exceptions=True)

    def _end(self, error: BaseException | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _reader_ended(self, task: asyncio.Task[None]) -> None:
        self._outbox.finish()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)

    def _writer_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._end(task.exception())

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    async def _read_all(self) -> None:
        while await self._take_next():
            pass

    async def _take_next(self) -> bool:
        """Read one message and see to it; false after the last. The message goes with it: each stream would keep megabytes."""
        message = await self._read()
        if message is self._end_marker:
            return False
        kind: str | None = message.WhichOneof("message")
        if kind == "capture":
            await self._take(message.capture)
        elif kind == "evidence":
            self._inquiries.answered(message.evidence)
        elif kind != "close":
            raise RemoteProtocolError(f"an open stream takes capture, evidence or close, got {kind or 'an empty message'}")
        return kind != "close"

    async def _take(self, capture: wire.Capture) -> None:
        # Once: protobuf copies the bytes with every look at them.
        data = capture.codes or capture.picture.data
        pending = self._admit(capture, len(data))
        try:
            work = await self._work(capture, data, pending)
        except ReferenceMissing as error:
            self._outbox.answer(pending, wire.STATUS_KEY_FRAME_NEEDED, str(error))
            return
        except (RemoteProtocolError, ContractMismatch) as error:
            self._outbox.answer(pending, wire.STATUS_INVALID, str(error))
            return
        expires_at = pending.arrived_at + capture.deadline_us / 1e6 if capture.HasField("deadline_us") else None
        self._submit(pending, work, expires_at)

    def _admit(self, capture: wire.Capture, size_bytes: int) -> Pending:
        """Check the rules of the conversation.

        Raises:
            LimitExceeded: more captures than the window allows.
            RemoteProtocolError: the sequence does not grow.
        """
        arrived_at = self._house.clock()
        self._received += 1
        if self._received > self._outbox.allowed:
            raise LimitExceeded(
                f"capture {self._received} of this stream came while {self._outbox.allowed} were allowed; wait for answers"
            )
        self._check_attached()
        if capture.sequence <= self._session.last_sequence:
            raise RemoteProtocolError(f"sequence {capture.sequence} follows {self._session.last_sequence}; it must grow")
        self._session.last_sequence = capture.sequence
        placement = "offload" if capture.HasField("picture") else "split"
        self._client.spend(size_bytes)
        self._figures.received(placement, size_bytes)
        pending = Pending(sequence=capture.sequence, placement=placement, arrived_at=arrived_at, figures=self._figures)
        if self._house.tracing is not None:
            pending.trace = trace_of(self._house.tracing, capture, self._figures, placement, size_bytes)
        self._outbox.expect(pending)
        return pending

    async def _work(self, capture: wire.Capture, data: bytes, pending: Pending) -> Work:
        content = capture.WhichOneof("content")
        if content == "codes":
            return await self._decode(capture, data, pending)
        if content != "picture":
            raise MalformedPayload("a capture carries codes or a picture, this one has neither")
        if not self._served.model.takes_pictures:
            raise RemoteProtocolError(f"bundle {self._served.bundle.manifest.id!r} takes no pictures; send codes")
        bytes_max = self._house.limits.picture_bytes
        if len(data) > bytes_max:
            raise LimitExceeded(f"picture of {len(data)} bytes, at most {bytes_max} are taken")
        return Work(kind="picture", picture_format=capture.picture.format, picture_data=data)

    async def _decode(self, capture: wire.Capture, data: bytes, pending: Pending) -> Work:
        """Decode codes and keep them as a reference, in the order of arrival."""
        reference = self._session.reference(capture.reference) if capture.HasField("reference") else None
        if capture.HasField("reference") and reference is None:
            raise ReferenceMissing(f"frame {capture.reference} is not held; send a key frame")
        decode = functools.partial(self._codec.decode, data, point=capture.point, reference=reference)
        started = self._house.clock()
        if self._served.decodes_aside(data):
            codes = await asyncio.to_thread(decode)
            self._check_attached()
        else:
            codes = decode()
        pending.decode_s = self._house.clock() - started
        pending.decoded = True
        self._house.sessions.remember(self._session, capture.sequence, codes)
        return Work(kind="codes", codes=codes)

    def _check_attached(self) -> None:
        if self._session.stream is not self:
            raise RemoteProtocolError(_TAKEN_OVER)

    def _submit(self, pending: Pending, work: Work, expires_at: float | None) -> None:
        def done(job: Job[Work, Computed]) -> None:
            if job.result is not None:
                self._outbox.answer_computed(pending, job, job.result)
            else:
                self._answer_failed(pending, job)

        try:
            self._client.check_in_flight()
            pending.job = self._served.batcher.submit(
                work,
                done,
                kind=work.company,
                expires_at=expires_at,
                client=self._client.name,
                stream=self.number,
                size_bytes=work.size_bytes,
                light=work.kind == "codes",
            )
        except Overloaded as error:
            self._outbox.answer_overloaded(pending, error)

    def _answer_failed(self, pending: Pending, job: Job[Work, Computed]) -> None:
        if job.expired:
            self._outbox.answer(pending, wire.STATUS_EXPIRED, "the deadline passed before the frame was computed")
        elif isinstance(job.error, Overloaded):
            self._outbox.answer_overloaded(pending, job.error)
        elif isinstance(job.error, RemoteProtocolError):
            self._outbox.answer(pending, wire.STATUS_INVALID, str(job.error))
        elif isinstance(job.error, IsthmusError):
            self._outbox.answer(pending, wire.STATUS_FAILED, str(job.error))
        else:
            self._log.error("computing failed", sequence=pending.sequence, error=repr(job.error))
            self._outbox.answer(pending, wire.STATUS_FAILED, "the server failed on this frame; its log says why")
