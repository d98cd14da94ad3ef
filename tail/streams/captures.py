"""Captures of one stream, from the message to the batcher.

What is wrong with one capture is answered (`Answer.status`) and the stream goes on. What breaks the conversation (more captures
than allowed, sequence numbers that do not grow) is raised and ends it.
"""

import asyncio
import functools

import structlog

from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import (
    ContractMismatch,
    IsthmusError,
    LimitExceeded,
    MalformedPayload,
    Overloaded,
    ReferenceMissing,
    RemoteProtocolError,
)
from isthmus.tail.admission.client import Client
from isthmus.tail.job import Job
from isthmus.tail.model import Computed, Work
from isthmus.tail.served import Served
from isthmus.tail.streams.house import House
from isthmus.tail.streams.outbox import Outbox, Pending
from isthmus.tail.streams.sessions import Attached, Session
from isthmus.tail.watching.figures import StreamFigures
from isthmus.tail.watching.tracing import trace_of

TAKEN_OVER = "another stream of this device took the session over"


class Captures:
    """Decodes the captures of one stream and has them computed.

    Args:
        house: what the server has.
        served: the bundle that the device opened.
        codec: of its frames, in the modes agreed on.
        session: what outlives the stream.
        stream: which stream it is; another one may take the session over.
        number: the stream's, for turns in the queue.
        client: whose limits count.
        outbox: where answers go.
        figures: where captures are counted.
        log: the stream's.
    """

    def __init__(
        self,
        house: House,
        *,
        served: Served,
        codec: Codec,
        session: Session,
        stream: Attached,
        number: int,
        client: Client,
        outbox: Outbox,
        figures: StreamFigures,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._house = house
        self._served = served
        self._codec = codec
        self._session = session
        self._stream = stream
        self._number = number
        self._client = client
        self._outbox = outbox
        self._figures = figures
        self._log = log
        self.received = 0
        """Captures so far."""

    async def take(self, capture: wire.Capture) -> None:
        """See to one capture; its answer goes to the outbox, now or when it is computed.

        Raises:
            LimitExceeded: more captures than the window allows.
            RemoteProtocolError: the sequence does not grow, or another stream took the session over.
        """
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
        self.received += 1
        if self.received > self._outbox.allowed:
            raise LimitExceeded(
                f"capture {self.received} of this stream came while {self._outbox.allowed} were allowed; wait for answers"
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
        if self._session.stream is not self._stream:
            raise RemoteProtocolError(TAKEN_OVER)

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
                stream=self._number,
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
