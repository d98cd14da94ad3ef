"""Frames to worker threads, without timers: a free worker takes what is queued, and nothing waits for company.

Under light load every frame is computed alone and at once; under heavy load batches form by themselves, because frames
arrive while the workers are busy. The event loop is the only producer, so a length check before each `put` bounds the queue
exactly. Results come back in one wake-up of the loop for all that finished meanwhile.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from isthmus.errors import TailUnavailable

Work = TypeVar("Work")
Result = TypeVar("Result")

RETRY_MIN_MS = 5
RETRY_MAX_MS = 1000
"""Bounds of the retry hint: below, a refused device would only spin; above, it would miss a queue that emptied."""


@dataclass(slots=True, eq=False)
class Job(Generic[Work, Result]):
    """One piece of work on its way through the queue. After `on_done` was called, exactly one of these holds:
    `result` is set, `error` is set, or `expired` is true."""  # noqa: D205, D209

    work: Work
    kind: Hashable
    expires_at: float | None
    on_done: "Callable[[Job[Work, Result]], None]"
    queued_at: float
    queue_s: float = 0.0
    compute_s: float = 0.0
    result: Result | None = None
    error: Exception | None = None
    expired: bool = False
    cancelled: bool = False

    def cancel(self) -> None:
        """Let it not be computed if it was not begun; `on_done` will not be called."""
        self.cancelled = True


class Batcher(Generic[Work, Result]):
    """A bounded queue in front of worker threads.

    Args:
        run: computes one batch in the thread of the worker whose index it gets; one result for each work, in order. What it
            raises becomes the `error` of every job of the batch.
        workers: number of threads.
        queue_max: jobs that may wait; those being computed do not count.
        batch_max: jobs of the same kind in one call of `run`.
        clock: seconds, monotonic; `expires_at` is a time on it.
    """

    def __init__(
        self,
        run: Callable[[int, Sequence[Work]], Sequence[Result]],
        *,
        workers: int,
        queue_max: int,
        batch_max: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Job[Work, Result] | None] = queue.SimpleQueue()
        self._finished: deque[Job[Work, Result]] = deque()
        self._posted = False
        self._closed = False
        self._mean_s = 0.01
        self._threads = [
            threading.Thread(target=self._serve, args=(index,), name=f"isthmus-worker-{index}", daemon=True)
            for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> int:
        """Jobs that wait for a worker."""
        return self._queue.qsize()

    @property
    def retry_after_ms(self) -> int:
        """When a refused device should try again: the time in which half of a full queue is worked off."""
        estimate = 1000 * self._mean_s * self._queue_max / (2 * len(self._threads))
        return round(min(max(estimate, RETRY_MIN_MS), RETRY_MAX_MS))

    def submit(
        self,
        work: Work,
        on_done: Callable[[Job[Work, Result]], None],
        *,
        kind: Hashable = None,
        expires_at: float | None = None,
    ) -> Job[Work, Result]:
        """Queue one piece of work; call it on the event loop.

        Args:
            work: what `run` gets.
            on_done: called on the event loop once the job is computed, failed or expired; not after `Job.cancel`.
            kind: jobs of one kind may share a batch.
            expires_at: time on the clock after which it need not be computed.

        Raises:
            TailUnavailable: the batcher is closed, or the queue is full; then try again after `retry_after_ms`.
        """
        if self._closed:
            raise TailUnavailable("this version of the bundle was unloaded meanwhile; ask again for the one that is served now")
        if self._queue.qsize() >= self._queue_max:
            raise TailUnavailable(f"{self._queue_max} frames wait already; try again in {self.retry_after_ms} ms")
        # Not Job[Work, Result](...): typing's wrapper costs several microseconds per call.
        job: Job[Work, Result] = Job(work=work, kind=kind, expires_at=expires_at, on_done=on_done, queued_at=self._clock())
        self._queue.put(job)
        return job

    async def close(self) -> None:
        """Take nothing more, finish what is queued and not cancelled, and end the threads."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await self._loop.run_in_executor(None, thread.join)
        self._deliver()

    def _serve(self, worker: int) -> None:
        """Life of one worker thread."""
        held: Job[Work, Result] | None = None
        while True:
            first = held or self._queue.get()
            held = None
            if first is None:
                return
            batch, held, last = self._fill(first)
            ready = [job for job in batch if self._wanted(job)]
            if ready:
                self._compute(worker, ready)
            self._post(batch)
            if last:
                return

    def _fill(self, first: Job[Work, Result]) -> tuple[list[Job[Work, Result]], Job[Work, Result] | None, bool]:
        """What joins `first`, what was taken and does not fit, and whether the end of the queue was reached."""
        batch = [first]
        while len(batch) < self._batch_max:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, None, True
            if job.kind != first.kind:
                return batch, job, False
            batch.append(job)
        return batch, None, False

    def _wanted(self, job: Job[Work, Result]) -> bool:
        now = self._clock()
        job.queue_s = now - job.queued_at
        if job.expires_at is not None and now >= job.expires_at:
            job.expired = True
        return not (job.expired or job.cancelled)

    def _compute(self, worker: int, jobs: list[Job[Work, Result]]) -> None:
        started = self._clock()
        try:
            results = self._run(worker, [job.work for job in jobs])
            for job, result in zip(jobs, results, strict=True):
                job.result = result
        except Exception as error:
            for job in jobs:
                job.result, job.error = None, error
        spent_s = self._clock() - started
        for job in jobs:
            job.compute_s = spent_s
        self._mean_s += 0.05 * (spent_s / len(jobs) - self._mean_s)

    def _post(self, jobs: list[Job[Work, Result]]) -> None:
        self._finished.extend(jobs)
        # The loop clears the flag before it empties the deque, so a job is either seen by that pass or posts a new one.
        if not self._posted:
            self._posted = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._posted = False
        while self._finished:
            job = self._finished.popleft()
            if not job.cancelled:
                job.on_done(job)
