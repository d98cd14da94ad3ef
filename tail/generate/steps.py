"""The steps of one conversation, from the message to the reply.

What is wrong with one step is answered (`Tokens.status`) and the conversation goes on. Only a step that was computed counts: any
other may come again under its number.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import numpy as np
import structlog

from isthmus.codec.hidden.codec import HiddenCodec
from isthmus.codec.payload import Mode, mode_of
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import Limits
from isthmus.devices.sampler import Drawn, draw
from isthmus.errors import IsthmusError, LimitExceeded, LocalProtocolError, MalformedPayload, Overloaded, RemoteProtocolError
from isthmus.tail.admission.client import Client
from isthmus.tail.generate.model import TOKENS
from isthmus.tail.generate.opening import room_for
from isthmus.tail.generate.scheduler import StepJob, Work
from isthmus.tail.generate.served import ServedLanguage
from isthmus.tail.generate.sessions import LanguageSessions, Session
from isthmus.tail.streams.outbox import microseconds
from isthmus.tail.watching.figures import STATUSES
from isthmus.tail.watching.incidents import Incidents

INLINE_VALUES_MAX = 16_384
"""Values of one step that are decoded on the event loop: a fraction of a millisecond. More go to a thread."""

_WORTH_A_LOOK = (wire.STATUS_INVALID, wire.STATUS_OVERLOADED, wire.STATUS_FAILED)


class Steps:
    """Computes the steps of one conversation, one after the other.

    Args:
        served: the bundle.
        sessions: where the session is kept.
        session: what outlives the stream.
        layout: that was opened.
        codec: of its hidden states, in the modes agreed on.
        client: whose limits count.
        limits: what is taken of a device.
        incidents: where failures are noted.
        log: the conversation's.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        served: ServedLanguage,
        sessions: LanguageSessions,
        session: Session,
        layout: str,
        codec: HiddenCodec,
        client: Client,
        limits: Limits,
        incidents: Incidents,
        log: structlog.stdlib.BoundLogger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._served = served
        self._sessions = sessions
        self._session = session
        self._layout = layout
        self._decoder = served.model.decoders[layout]
        self._codec = codec
        self._client = client
        self._limits = limits
        self._figures = served.figures
        self._incidents = incidents
        self._log = log
        self._clock = clock
        self._job: StepJob | None = None
        self._sequence = 0
        self._cancelled = range(0)

    def make_room(self, positions: int) -> None:
        """See that the session's cache holds so many positions.

        Raises:
            Overloaded: there is no memory for it, or the client has its share.
        """
        session = self._session
        room = room_for(positions, self._served.bundle.manifest.positions_max)
        if session.cache is not None and session.cache.positions >= room:
            return
        self._sessions.reserve(session, self._decoder.cache_bytes(room))
        try:
            grown = self._decoder.new_cache(room)
        except MemoryError as error:
            raise Overloaded(f"this machine has no memory for {room} positions; serve with a smaller --cache-memory") from error
        if session.cache is not None:
            grown.take_over(session.cache)
        session.cache = grown

    def cancel(self, sequence: int, last: int) -> None:
        """Stop the steps from this number to `last`, which has come last."""
        self._cancelled = range(sequence, last + 1)
        if self._job is not None and self._sequence >= sequence:
            self._job.cancel()

    async def take(self, rows: wire.Rows, arrived_at: float) -> wire.Tokens:
        """Compute one step; its reply.

        Raises:
            RemoteProtocolError: the sequence number does not grow, and no reply is kept for it.
        """
        self._client.in_flight += 1
        try:
            async with self._session.turn:
                self._sessions.touch(self._session)
                kept = self._session.replies.get(rows.sequence)
                if kept is not None:
                    return kept
                if rows.sequence <= self._session.last_sequence:
                    raise RemoteProtocolError(f"step {rows.sequence} follows {self._session.last_sequence}; it must grow")
                reply = await self._answer(rows, arrived_at)
        finally:
            self._client.in_flight -= 1
        reply.times.total_us = microseconds(self._clock() - arrived_at)
        self._figures.answered(rows.count, reply, self._clock() - arrived_at)
        return reply

    async def _answer(self, rows: wire.Rows, arrived_at: float) -> wire.Tokens:
        try:
            self._client.check_in_flight()
            reply = await self._compute(rows, arrived_at)
        except RemoteProtocolError as error:
            reply = self._failed(rows, wire.STATUS_INVALID, str(error))
        except Overloaded as error:
            reply = self._failed(rows, wire.STATUS_OVERLOADED, str(error))
        except IsthmusError as error:
            reply = self._failed(rows, wire.STATUS_FAILED, str(error))
        if reply.status == wire.STATUS_OK:
            self._session.remember(reply)
        return reply

    async def _compute(self, rows: wire.Rows, arrived_at: float) -> wire.Tokens:
        session = self._session
        self._check(rows)
        if rows.pos > session.positions:
            return self._failed(
                rows, wire.STATUS_KEY_FRAME_NEEDED, f"{session.positions} positions are held, rows came from {rows.pos} on"
            )
        if rows.HasField("sampling"):
            session.sampling = self._served.model.defaults.told(rows.sampling)
        started = self._clock()
        array = await self._decoded(rows)
        decode_s = self._clock() - started
        self.make_room(rows.pos + rows.count)
        before = session.answer_before(rows.pos, rows.count) or list(rows.answer)
        job = await self._run(rows, array, before, arrived_at)
        return self._reply(rows, job, before, decode_s)

    def _check(self, rows: wire.Rows) -> None:
        manifest = self._served.bundle.manifest
        if not 1 <= rows.count <= self._limits.rows:
            raise LimitExceeded(f"{rows.count} rows came in one step, 1 to {self._limits.rows} are taken")
        if rows.pos + rows.count > manifest.positions_max:
            raise RemoteProtocolError(
                f"{rows.count} rows from position {rows.pos} on pass the {manifest.positions_max} positions of the model"
            )
        if rows.draft:
            raise RemoteProtocolError("this version verifies no drafts; send rows without")
        if len(rows.answer) > rows.pos + rows.count or any(one >= manifest.vocabulary for one in rows.answer):
            raise RemoteProtocolError("the answer so far has more tokens than there are positions, or one that does not exist")

    async def _decoded(self, rows: wire.Rows) -> np.ndarray:
        content = rows.WhichOneof("content")
        if content != ("token_ids" if self._layout == TOKENS else "hidden"):
            raise MalformedPayload(f"a step of layout {self._layout} came with {content or 'nothing'}")
        if content == "token_ids":
            self._client.spend(4 * len(rows.token_ids.ids))
            return self._ids(rows)
        data = rows.hidden
        self._client.spend(len(data))
        self._figures.received(len(data))
        if rows.count * self._codec.width <= INLINE_VALUES_MAX:
            return self._codec.decode(data, rows.count)
        return await asyncio.to_thread(self._codec.decode, data, rows.count)

    def _ids(self, rows: wire.Rows) -> np.ndarray:
        ids = np.array(rows.token_ids.ids, np.int64)
        if len(ids) != rows.count:
            raise MalformedPayload(f"{rows.count} rows were said, {len(ids)} token ids came")
        if (ids >= self._served.bundle.manifest.vocabulary).any():
            raise MalformedPayload(f"token {ids.max()} does not exist, there are {self._served.bundle.manifest.vocabulary}")
        return ids

    async def _run(self, rows: wire.Rows, array: np.ndarray, before: list[int], arrived_at: float) -> StepJob:
        """Have it computed; the job, whatever became of it."""
        session, sampling = self._session, self._session.sampling
        if session.cache is None:
            raise LocalProtocolError("a session without a cache was to be computed")
        mode = Mode(mode_of(rows.hidden)) if rows.HasField("hidden") else Mode.HIDDEN_FP16

        def finish(given: np.ndarray) -> Drawn | bytes | None:
            if not self._decoder.gives_logits:
                return self._codec.encode(given, mode)
            return draw(given[-1], sampling, position=rows.pos + rows.count, answer=before) if rows.sample else None

        done: asyncio.Future[StepJob] = asyncio.get_running_loop().create_future()
        expires_at = arrived_at + rows.deadline_us / 1e6 if rows.HasField("deadline_us") else None
        work = Work(decoder=self._decoder, rows=array, cache=session.cache, pos=rows.pos, finish=finish)
        self._sequence = rows.sequence
        self._job = self._served.scheduler.submit(
            work, done.set_result, client=self._client.name, stream=session.id, expires_at=expires_at
        )
        if rows.sequence in self._cancelled:
            self._job.cancel()
        try:
            return await done
        finally:
            self._job = None

    def _reply(self, rows: wire.Rows, job: StepJob, before: list[int], decode_s: float) -> wire.Tokens:
        session = self._session
        if job.error is not None or job.cancelled or job.expired:
            return self._not_computed(rows, job)
        reply = wire.Tokens(sequence=rows.sequence, pos=session.positions, status=wire.STATUS_OK)
        if isinstance(job.result, bytes):
            reply.hidden = job.result
        elif isinstance(job.result, Drawn):
            _tell(reply, job.result, with_details=session.sampling.logprobs > 0)
            session.drew(before, job.result.id, session.positions)
        reply.times.queue_us = microseconds(job.queue_s)
        reply.times.decode_us = microseconds(decode_s)
        reply.times.compute_us = microseconds(job.compute_s)
        return reply

    def _not_computed(self, rows: wire.Rows, job: StepJob) -> wire.Tokens:
        cache = self._session.cache
        if job.work.done and cache is not None:
            with contextlib.suppress(LocalProtocolError):
                cache.truncate(rows.pos)
        if job.error is None:
            return self._failed(rows, wire.STATUS_EXPIRED, "cancelled" if job.cancelled else "the deadline passed")
        if not isinstance(job.error, IsthmusError):
            self._log.error("computing failed", sequence=rows.sequence, error=repr(job.error))
            return self._failed(rows, wire.STATUS_FAILED, "the server failed on this step; its log says why")
        return self._failed(rows, wire.STATUS_FAILED, str(job.error))

    def _failed(self, rows: wire.Rows, status: wire.Status, message: str) -> wire.Tokens:
        if status in _WORTH_A_LOOK:
            self._incidents.note(f"step {STATUSES[status]}", message)
        return wire.Tokens(sequence=rows.sequence, pos=self._session.positions, status=status, message=message)


def _tell(reply: wire.Tokens, drawn: Drawn, *, with_details: bool) -> None:
    reply.ids.append(drawn.id)
    if with_details:
        likeliest = [wire.TokenLogprob(id=one, logprob=logprob) for one, logprob in drawn.likeliest]
        reply.details.append(wire.TokenDetail(most_likely=likeliest, logprob=drawn.logprob))
