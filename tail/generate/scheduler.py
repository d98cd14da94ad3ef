"""Steps of all conversations to the one thread that computes a language model.

Single rows of different sessions go through the network together, in rounds: whoever has a row ready joins the next round, and
nobody waits for company (continuous batching; Yu et al. 2022, "Orca", section 3.2). The weights are read once for all of them,
which is most of what a row costs. A prompt goes through alone, in stretches of about `STRETCH_S`, and between two rounds there
is at most one of them, so that a long prompt never silences the others (Agrawal et al. 2024, "Sarathi-Serve", section 4). Whose
row or stretch comes next is the fair queue's affair.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from isthmus.devices.decoder.cache import Cache
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.decoder.step import Step
from isthmus.errors import Overloaded, TailUnavailable
from isthmus.tail.admission.fair import FairQueue
from isthmus.tail.job import Job

STRETCH_S = 0.05
"""Of a prompt between two rounds: what the answers of others may be late by. About the time of some rounds, and long enough that
a prompt, whose rows share the reading of the weights as well, loses little by being cut up."""
STRETCH_ROWS_MIN, STRETCH_ROWS_MAX = 16, 256
"""Bounds of it: fewer rows cost almost as much; more need working memory for their logits and gain nothing."""
RETRY_MS = 200
"""When a refused step should come again: a few stretches."""


@dataclass(slots=True, eq=False, kw_only=True)
class Work:
    """Rows of one sequence.

    Attributes:
        decoder: the network.
        rows: float32[row, width] of hidden states, or int64[row] of token ids.
        cache: of the sequence; nobody else uses it until the job is done.
        pos: of the first row.
        finish: makes the result, in the computing thread, of what the network gave: float32[row, vocabulary] of the last row, or
            float32[row, width] of all.
    """

    decoder: Decoder
    rows: np.ndarray
    cache: Cache
    pos: int
    finish: Callable[[np.ndarray], object]
    given: list[np.ndarray] = field(default_factory=list)
    done: int = 0


StepJob: TypeAlias = Job[Work, object]


class Scheduler:
    """A thread and the steps in front of it; made and used on the event loop.

    Args:
        round_max: rows in one round.
        queue_bytes_max: of rows that wait.
        on_round: called in the computing thread before every round.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        round_max: int,
        queue_bytes_max: int,
        on_round: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._round_max = round_max
        self._on_round = on_round
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        """Over both queues."""
        self._rows: FairQueue[StepJob] = FairQueue(count_max=1 << 30, bytes_max=queue_bytes_max)
        self._prompts: FairQueue[StepJob] = FairQueue(count_max=1 << 30, bytes_max=queue_bytes_max)
        self._round_s, self._row_s = 0.01, 0.002
        """Means: of a row's share of a round, and of a row of a prompt."""
        self._closed = False
        self._finished: deque[StepJob] = deque()
        self._thread = threading.Thread(target=self._serve, name="isthmus-language", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Steps that wait."""
        return len(self._rows) + len(self._prompts)

    def submit(
        self,
        work: Work,
        on_done: Callable[[StepJob], None],
        *,
        client: Hashable,
        stream: Hashable,
        expires_at: float | None = None,
    ) -> StepJob:
        """Queue a step.

        Args:
            work: what is to be computed.
            on_done: called on the event loop in any case, when nobody uses the cache any more: the job has a `result` or an
                `error`, or is `expired` or `cancelled`.
            client: whose it is; clients share the thread's time.
            stream: conversation of the client; they take turns.
            expires_at: time on the clock after which it need not be begun.

        Raises:
            Overloaded: too much waits.
            TailUnavailable: the bundle is let go.
        """
        if self._closed:
            raise TailUnavailable("this version of the bundle was unloaded meanwhile; ask again for the one that is served now")
        now = self._clock()
        job = StepJob(work=work, kind=None, expires_at=expires_at, on_done=on_done, queued_at=now, client=client)
        with self._changed:
            waiting = self._rows if len(work.rows) == 1 else self._prompts
            if not waiting.has_room(work.rows.nbytes):
                raise Overloaded(f"{len(waiting)} steps wait already; try again in {RETRY_MS} ms", retry_after_ms=RETRY_MS)
            waiting.put(job, client=client, stream=stream, size_bytes=work.rows.nbytes)
            self._changed.notify()
        return job

    async def close(self) -> None:
        """Take nothing more, finish what is queued, and end the thread."""
        self._closed = True
        with self._changed:
            self._changed.notify()
        await self._loop.run_in_executor(None, self._thread.join)
        self._deliver()

    def _serve(self) -> None:
        """Life of the thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.queued or self._closed)
                if not self.queued:
                    return
                batch = self._take_round()
                prompt = self._take_one(self._prompts, self._row_s * STRETCH_ROWS_MIN)
            self._compute_round([job for job in batch if not self._lapsed(job)])
            if prompt is not None and not self._lapsed(prompt):
                self._compute_stretch(prompt)

    def _take_round(self) -> list[StepJob]:
        batch: list[StepJob] = []

        def joins(job: StepJob) -> bool:
            return job.work.decoder is batch[0].work.decoder

        while len(batch) < self._round_max:
            job = self._take_one(self._rows, self._round_s, joins if batch else None)
            if job is None:
                break
            batch.append(job)
        return batch

    def _take_one(
        self, waiting: FairQueue[StepJob], estimate_s: float, accept: Callable[[StepJob], bool] | None = None
    ) -> StepJob | None:
        job = waiting.take(estimate_s, accept)
        if job is not None:
            job.estimate_s = estimate_s
            if not job.work.done:
                job.queue_s = self._clock() - job.queued_at
        return job

    def _lapsed(self, job: StepJob) -> bool:
        """See to a step that nobody waits for; one that was begun is not too late any more."""
        if not (job.cancelled if job.work.done else job.lapsed(self._clock())):
            return False
        self._charge(job, self._rows if len(job.work.rows) == 1 else self._prompts, 0.0)
        self._post(job)
        return True

    def _compute_round(self, batch: list[StepJob]) -> None:
        if not batch:
            return
        self._on_round()
        started = self._clock()
        try:
            steps = [Step(job.work.rows, job.work.cache, job.work.pos) for job in batch]
            for job, given in zip(batch, batch[0].work.decoder.run_together(steps), strict=True):
                job.work.given.append(given)
        except Exception as error:
            if len(batch) > 1:
                # One row shall not spoil those of others.
                for job in batch:
                    self._compute_round([job])
                return
            batch[0].error = error
        share_s = (self._clock() - started) / len(batch)
        self._round_s += 0.1 * (share_s - self._round_s)
        for job in batch:
            job.compute_s = self._clock() - started
            self._charge(job, self._rows, share_s)
            self._finish(job)

    def _compute_stretch(self, job: StepJob) -> None:
        """Take a prompt a little further; what remains of it queues again."""
        work, started = job.work, self._clock()
        count = int(min(max(STRETCH_S / max(self._row_s, 1e-6), STRETCH_ROWS_MIN), STRETCH_ROWS_MAX, len(work.rows) - work.done))
        try:
            given = work.decoder.run(work.rows[work.done : work.done + count], work.cache, work.pos + work.done, keep=1)
        except Exception as error:
            job.error = error
        else:
            work.given.append(given)
            work.done += count
        spent_s = self._clock() - started
        self._row_s += 0.2 * (spent_s / count - self._row_s)
        job.compute_s += spent_s
        self._charge(job, self._prompts, spent_s)
        if job.error is not None or work.done == len(work.rows):
            self._finish(job)
            return
        with self._changed:
            self._prompts.put(job, client=job.client, size_bytes=work.rows.nbytes)

    def _charge(self, job: StepJob, queue: FairQueue[StepJob], spent_s: float) -> None:
        with self._changed:
            queue.charge(job.client, spent_s - job.estimate_s)

    def _finish(self, job: StepJob) -> None:
        work = job.work
        if job.error is None:
            try:
                job.result = work.finish(work.given[-1] if work.decoder.gives_logits else np.concatenate(work.given))
            except Exception as error:
                job.error = error
        self._post(job)

    def _post(self, job: StepJob) -> None:
        self._finished.append(job)
        self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._finished:
            job = self._finished.popleft()
            job.on_done(job)
