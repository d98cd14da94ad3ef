"""Frames to worker threads, without timers: a free worker takes what is queued, and nothing waits for company.

Under light load every frame is computed alone and at once; under heavy load batches form by themselves, because frames
arrive while the workers are busy. A batch spares a light network most of what a run costs around it: waking a thread, and
changing hands over Python's lock. Whose frame comes next is the fair queue's affair. Workers sleep on a queue of wake-ups of
which there is at least one for every frame, so nothing is polled and the lock is held for microseconds. Results come back in
one wake-up of the loop for all that finished meanwhile.

A frame that finds nobody at work and is known to take less than `LOOP_S` is computed by the event loop itself: the way to a
thread and back costs a tenth of a millisecond, and the loop would do nothing else meanwhile.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic

from isthmus.errors import Overloaded, TailUnavailable
from isthmus.tail.admission.fair import FairQueue
from isthmus.tail.job import Job, Result, Work

RETRY_MIN_MS = 5
RETRY_MAX_MS = 1000
"""Bounds of the retry hint: below, a refused device would only spin; above, it would miss a queue that emptied."""
BATCH_MAX, BATCH_S = 8, 0.004
"""Of a batch whose size nobody set: 8 leave each frame an eighth of what a run costs around the network. All are answered when
the last one is computed; 4 ms are little beside the round trip of a radio."""
LOOP_S = 0.001
"""How long the event loop may compute: other frames wait meanwhile; gRPC's own threads go on and answer pings."""


class Batcher(Generic[Work, Result]):
    """A bounded queue in front of worker threads.

    Args:
        run: computes one batch in the thread of the worker whose index it gets; one result for each work, in order. Where it
            raises, every job of the batch is computed again alone, and what is raised then is its `error`.
        workers: number of threads.
        queue_max: jobs that may wait; those being computed do not count.
        queue_bytes_max: bytes of them.
        batch_max: jobs of the same kind in one call of `run`; None is as many as take about `BATCH_S`, at most `BATCH_MAX` and
            the worker's share of what waits.
        clock: seconds, monotonic; `expires_at` is a time on it.
    """

    def __init__(
        self,
        run: Callable[[int, Sequence[Work]], Sequence[Result]],
        *,
        workers: int,
        queue_max: int,
        queue_bytes_max: int = 1 << 62,
        batch_max: int | None = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: FairQueue[Job[Work, Result]] = FairQueue(count_max=queue_max, bytes_max=queue_bytes_max)
        self._lock = threading.Lock()
        """Over `_queue` and `_wakes`."""
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """True: look for a job; False: end."""
        self._wakes = 0
        """Trues that no worker has taken yet; never fewer than jobs, but for one that the loop has taken on."""
        self._busy = 0
        """Workers between taking a batch and having computed it."""
        self._taken_on = False
        """The loop will look at the queue in its next turn."""
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
        return len(self._queue)

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
        client: Hashable = None,
        stream: Hashable = None,
        size_bytes: int = 0,
        light: bool = False,
    ) -> Job[Work, Result]:
        """Queue one piece of work; call it on the event loop.

        A job that was queued may still lose its place to one of a client that has less there; its `error` is `Overloaded` then.

        Args:
            work: what `run` gets.
            on_done: called on the event loop once the job is computed, failed or expired; not after `Job.cancel`.
            kind: jobs of one kind may share a batch.
            expires_at: time on the clock after which it need not be computed.
            client: whose it is; the time of the workers is shared between clients.
            stream: jobs of one stream keep their order, and the streams of a client take turns.
            size_bytes: what it holds in memory while it waits.
            light: it takes no longer than others of its batcher, so that the event loop may compute it if they are quick.

        Raises:
            Overloaded: the queue is full and nobody holds more of it than this client.
            TailUnavailable: the batcher is closed.
        """
        if self._closed:
            raise TailUnavailable("this version of the bundle was unloaded meanwhile; ask again for the one that is served now")
        now = self._clock()
        # Not Job[Work, Result](...): typing's wrapper costs several microseconds per call.
        job: Job[Work, Result] = Job(work=work, kind=kind, expires_at=expires_at, on_done=on_done, queued_at=now, client=client)
        if job.lapsed(now):
            self._post([job])
            return job
        with self._lock:
            if not self._queue.has_room(size_bytes):
                self._make_room(now, client, stream, size_bytes)
            self._queue.put(job, client=client, stream=stream, size_bytes=size_bytes)
            if light and self._mean_s < LOOP_S and not self._busy and len(self._queue) == 1:
                self._taken_on = True
                self._loop.call_soon(self._serve_here)
            else:
                self._wake_workers()
        return job

    async def close(self) -> None:
        """Take nothing more, finish what is queued and not cancelled, and end the threads."""
        self._closed = True
        with self._lock:
            self._wake_workers()
        for _ in self._threads:
            self._wake.put(False)
        for thread in self._threads:
            await self._loop.run_in_executor(None, thread.join)
        self._deliver()

    def _make_room(self, now: float, client: Hashable, stream: Hashable, size_bytes: int) -> None:
        """Take out what need not be computed, then what its client has too much of.

        Raises:
            Overloaded: it is the newcomer's client that has too much.
        """
        idle = self._queue.purge(lambda job: job.lapsed(now))
        hint_ms = self.retry_after_ms
        refused = Overloaded(f"{len(self._queue)} frames wait already; try again in {hint_ms} ms", retry_after_ms=hint_ms)
        try:
            while not self._queue.has_room(size_bytes):
                job = self._queue.push_out(client=client, stream=stream, size_bytes=size_bytes)
                if job is None:
                    raise refused
                job.error = refused
                idle.append(job)
        finally:
            if idle:
                self._post(idle)

    def _wake_workers(self) -> None:
        """See that there is a wake-up for every job; under the lock."""
        self._taken_on = False
        while self._wakes < len(self._queue):
            self._wakes += 1
            self._wake.put(True)

    def _serve(self, worker: int) -> None:
        """Life of one worker thread."""
        while self._wake.get():
            with self._lock:
                self._wakes -= 1
                self._busy += 1
            self._serve_batch(worker, self._post)
            with self._lock:
                self._busy -= 1

    def _serve_here(self) -> None:
        """The event loop's turn, if the job it took on is still alone; else all are for the workers."""
        with self._lock:
            if not self._taken_on:
                return
            if len(self._queue) > 1:
                self._wake_workers()
                return
            self._taken_on = False
        self._serve_batch(0, self._tell)

    def _serve_batch(self, worker: int, tell: Callable[[list[Job[Work, Result]]], None]) -> None:
        """Compute what is next. By itself, so that a worker that sleeps holds no frame."""
        ready, late = self._take()
        if late:
            tell(late)
        if ready:
            self._compute(worker, ready)
            tell(ready)

    def _take(self) -> tuple[list[Job[Work, Result]], list[Job[Work, Result]]]:
        """The next batch, and what was found expired on the way to it."""
        ready: list[Job[Work, Result]] = []
        late: list[Job[Work, Result]] = []
        now = self._clock()

        def joins(job: Job[Work, Result]) -> bool:
            return job.lapsed(now) or job.kind == ready[0].kind

        with self._lock:
            estimate_s = self._mean_s
            most = self._most(estimate_s)
            while len(ready) < most:
                job = self._queue.take(estimate_s, joins if ready else None)
                if job is None:
                    break
                job.queue_s = now - job.queued_at
                if job.lapsed(now):
                    self._queue.charge(job.client, -estimate_s)
                    late.append(job)
                else:
                    job.estimate_s = estimate_s
                    ready.append(job)
        return ready, late

    def _most(self, estimate_s: float) -> int:
        """How many jobs the next batch may have."""
        if self._batch_max is not None:
            return self._batch_max
        share = -(-len(self._queue) // len(self._threads))
        return max(1, min(BATCH_MAX, int(BATCH_S / max(estimate_s, 1e-6)), share))

    def _compute(self, worker: int, jobs: list[Job[Work, Result]]) -> None:
        started = self._clock()
        try:
            results = self._run(worker, [job.work for job in jobs])
            for job, result in zip(jobs, results, strict=True):
                job.result = result
        except Exception as error:
            jobs[0].result = None
            if len(jobs) > 1:
                # One frame shall not spoil those of others.
                for job in jobs:
                    self._compute(worker, [job])
                return
            jobs[0].error = error
        self._charge(jobs, self._clock() - started)

    def _charge(self, jobs: list[Job[Work, Result]], spent_s: float) -> None:
        share_s = spent_s / len(jobs)
        with self._lock:
            for job in jobs:
                job.compute_s = spent_s
                self._queue.charge(job.client, share_s - job.estimate_s)
            self._mean_s += 0.05 * (share_s - self._mean_s)

    def _post(self, jobs: list[Job[Work, Result]]) -> None:
        self._finished.extend(jobs)
        # The loop clears the flag before it empties the deque, so a job is either seen by that pass or posts a new one.
        if not self._posted:
            self._posted = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._posted = False
        while self._finished:
            self._tell([self._finished.popleft()])

    def _tell(self, jobs: list[Job[Work, Result]]) -> None:
        for job in jobs:
            if not job.cancelled:
                job.on_done(job)
