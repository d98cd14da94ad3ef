import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Overloaded, TailUnavailable
from isthmus.tail.batch import Batcher


class Plug:
    """A network that doubles, one call at a time if `open` is cleared."""

    def __init__(self):
        self.open, self.entered, self.batches = threading.Event(), threading.Event(), []
        self.open.set()

    def run(self, _worker, works):
        self.batches.append(list(works))
        self.entered.set()
        assert self.open.wait(30)
        return [2 * work for work in works]


@pytest.fixture
def plug():
    made = Plug()
    yield made
    made.open.set()


async def submit_all(batcher, works, **fields):
    """Submit everything and wait until all are done; the jobs in the order in which they were done."""
    done, everything = [], asyncio.Event()

    def finished(job):
        done.append(job)
        if len(done) == len(works):
            everything.set()

    for work in works:
        batcher.submit(work, finished, **fields)
    await everything.wait()
    return done


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.integers(), min_size=1, max_size=40), st.integers(1, 4), st.integers(1, 9))
def test_every_frame_gets_its_own_result(works, workers, batch_max):
    async def check():
        batcher = Batcher(Plug().run, workers=workers, queue_max=100, batch_max=batch_max)
        done = await submit_all(batcher, works)
        await batcher.close()
        assert sorted((job.work, job.result) for job in done) == sorted((work, 2 * work) for work in works)

    asyncio.run(check())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=30), st.integers(1, 5))
def test_batches_are_of_one_kind_and_one_worker_keeps_the_order(kinds, batch_max):
    async def check():
        plug, done = Plug(), []
        batcher = Batcher(plug.run, workers=1, queue_max=100, batch_max=batch_max)
        for index, kind in enumerate(kinds):
            batcher.submit((index, kind), done.append, kind=kind)
        await batcher.close()
        assert [job.work for job in done] == list(enumerate(kinds))
        assert all(len({kind for _, kind in batch}) == 1 and len(batch) <= batch_max for batch in plug.batches)

    asyncio.run(check())


async def test_frames_that_come_while_the_worker_computes_form_a_batch(plug):
    batcher = Batcher(plug.run, workers=1, queue_max=10, batch_max=8)
    plug.open.clear()
    batcher.submit(0, lambda _job: None)
    await asyncio.to_thread(plug.entered.wait, 30)
    for work in range(1, 6):
        batcher.submit(work, lambda _job: None)
    plug.open.set()
    await batcher.close()
    assert plug.batches == [[0], [1, 2, 3, 4, 5]]


async def test_a_full_queue_refuses_with_a_hint_and_forgets_nothing(plug):
    batcher = Batcher(plug.run, workers=1, queue_max=3)
    done = []
    plug.open.clear()
    batcher.submit(0, done.append)
    await asyncio.to_thread(plug.entered.wait, 30)
    for work in (1, 2, 3):
        batcher.submit(work, done.append)
    with pytest.raises(Overloaded, match="3 frames wait already; try again in"):
        batcher.submit(4, done.append)
    assert (batcher.queued, batcher.retry_after_ms > 0) == (3, True)
    plug.open.set()
    await batcher.close()
    assert [job.work for job in done] == [0, 1, 2, 3]


async def test_an_expired_frame_is_told_and_not_computed(plug):
    now = 10.0
    batcher = Batcher(plug.run, workers=1, queue_max=3, clock=lambda: now)
    (job,) = await submit_all(batcher, [1], expires_at=10.0)
    (kept,) = await submit_all(batcher, [2], expires_at=10.1)
    await batcher.close()
    assert (job.expired, job.result, kept.result, plug.batches) == (True, None, 4, [[2]])


async def plugged(plug, **fields):
    """A batcher whose only worker is busy with frame 0 until the plug opens."""
    batcher, done = Batcher(plug.run, workers=1, **fields), []
    plug.open.clear()
    batcher.submit(0, done.append, client="first")
    await asyncio.to_thread(plug.entered.wait, 30)
    return batcher, done


async def test_a_frame_that_comes_too_late_takes_no_room(plug):
    batcher, done = await plugged(plug, queue_max=1)
    batcher.submit(1, done.append)
    batcher.submit(2, done.append, expires_at=0.0)
    assert batcher.queued == 1
    plug.open.set()
    await batcher.close()
    assert {job.work: job.expired for job in done} == {0: False, 1: False, 2: True}


async def test_frames_that_expired_in_a_full_queue_make_room_for_a_fresh_one(plug):
    clock = iter([0.0, 0.0, 0.0, 0.0, *[9.0] * 99])
    batcher, done = await plugged(plug, queue_max=2, clock=lambda: next(clock))
    batcher.submit(1, done.append, expires_at=5.0)
    batcher.submit(2, done.append)
    batcher.submit(3, done.append)
    assert batcher.queued == 2
    plug.open.set()
    await batcher.close()
    assert sorted((job.work, job.expired) for job in done) == [(0, False), (1, True), (2, False), (3, False)]
    assert plug.batches == [[0], [2], [3]]


async def test_a_cancelled_frame_makes_room_for_a_fresh_one(plug):
    batcher, done = await plugged(plug, queue_max=1)
    batcher.submit(1, done.append).cancel()
    batcher.submit(2, done.append)
    plug.open.set()
    await batcher.close()
    assert [job.work for job in done] == [0, 2]


async def test_expired_frames_leave_no_gap_in_a_batch(plug):
    clock = iter([0.0] * 10 + [9.0] * 99)
    batcher, done = await plugged(plug, queue_max=10, batch_max=3, clock=lambda: next(clock))
    for work in range(1, 7):
        batcher.submit(work, done.append, expires_at=5.0 if work < 4 else None)
    plug.open.set()
    await batcher.close()
    assert plug.batches == [[0], [4, 5, 6]]


async def test_a_flood_takes_nobody_elses_turn_and_pushes_nobody_out(plug):
    batcher, done = await plugged(plug, queue_max=10)
    for work in range(1, 11):
        batcher.submit(work, done.append, client="flood")
    for work in (100, 101):
        batcher.submit(work, done.append, client="polite")
    plug.open.set()
    await batcher.close()
    refused = [job.work for job in done if isinstance(job.error, Overloaded)]
    assert sorted(refused) == [9, 10]
    computed = [job.work for job in done if job.error is None]
    assert {100, 101} <= set(computed[:5])


async def test_a_queue_is_full_when_it_holds_too_many_bytes(plug):
    batcher, done = await plugged(plug, queue_max=10, queue_bytes_max=1000)
    batcher.submit(1, done.append, size_bytes=900)
    with pytest.raises(Overloaded):
        batcher.submit(2, done.append, size_bytes=900)
    plug.open.set()
    await batcher.close()


async def test_a_cancelled_frame_is_not_computed_and_not_told(plug):
    batcher = Batcher(plug.run, workers=1, queue_max=3)
    done = []
    plug.open.clear()
    batcher.submit(0, done.append)
    await asyncio.to_thread(plug.entered.wait, 30)
    batcher.submit(1, done.append).cancel()
    plug.open.set()
    await batcher.close()
    assert ([job.work for job in done], plug.batches) == ([0], [[0]])


async def test_a_frame_cancelled_while_it_is_computed_is_not_told(plug):
    batcher = Batcher(plug.run, workers=1, queue_max=3)
    done = []
    plug.open.clear()
    job = batcher.submit(0, done.append)
    await asyncio.to_thread(plug.entered.wait, 30)
    job.cancel()
    plug.open.set()
    await batcher.close()
    assert done == []


async def test_a_failure_is_the_failure_of_its_batch_only(plug):
    def run(_worker, works):
        if works == [1]:
            raise ZeroDivisionError("one")
        return works

    batcher = Batcher(run, workers=1, queue_max=5)
    done = await submit_all(batcher, [0, 1, 2])
    await batcher.close()
    assert [(job.result, repr(job.error)) for job in done] == [
        (0, "None"),
        (None, "ZeroDivisionError('one')"),
        (2, "None"),
    ]


async def test_a_frame_that_breaks_a_batch_spoils_no_other(plug):
    def run(worker, works):
        results = plug.run(worker, works)
        if 2 in works:
            raise ZeroDivisionError("two")
        return results

    batcher = Batcher(run, workers=1, queue_max=5, batch_max=5)
    plug.open.clear()
    done = []
    for work in range(5):
        batcher.submit(work, done.append)
        await asyncio.to_thread(plug.entered.wait, 30)
    plug.open.set()
    await batcher.close()
    assert plug.batches == [[0], [1, 2, 3, 4], [1], [2], [3], [4]]
    assert [(job.result, repr(job.error)) for job in done if job.work in (1, 2)] == [
        (2, "None"),
        (None, "ZeroDivisionError('two')"),
    ]


@pytest.mark.parametrize(("frame_s", "workers", "most"), [(0.0009, 1, 4), (0.0001, 1, 8), (0.01, 1, 1), (0.0001, 4, 4)])
async def test_without_a_size_a_batch_is_of_a_few_milliseconds_and_leaves_other_workers_their_share(frame_s, workers, most):
    plugs = [Plug() for _ in range(workers)]
    now = 0.0

    def run(worker, works):
        nonlocal now
        now += frame_s * len(works)
        return plugs[worker].run(worker, works)

    batcher = Batcher(run, workers=workers, queue_max=99, batch_max=None, clock=lambda: now)
    for _ in range(200):
        await submit_all(batcher, [0])  # one at a time: they tell how long a frame takes
    before = [len(plug.batches) for plug in plugs]
    for plug in plugs:
        plug.open.clear()
        plug.entered.clear()
    for _ in range(workers):
        batcher.submit(1, lambda _job: None)
    for plug in plugs:
        await asyncio.to_thread(plug.entered.wait, 30)
    for _ in range(16):
        batcher.submit(2, lambda _job: None)
    for plug in plugs:
        plug.open.set()
    await batcher.close()
    sizes = [len(batch) for plug, start in zip(plugs, before, strict=True) for batch in plug.batches[start:] if 2 in batch]
    assert (max(sizes), sum(sizes)) == (most, 16)


class Threads:
    """A network that remembers in which thread it ran; a frame takes `frame_s` on its clock."""

    def __init__(self, frame_s):
        self.now, self.frame_s, self.ran = 0.0, frame_s, []

    def run(self, _worker, works):
        self.now += self.frame_s * len(works)
        self.ran += [threading.current_thread().name.partition("-")[0]] * len(works)
        return works

    async def settled(self):
        """A batcher that knows how long a frame takes."""
        batcher = Batcher(self.run, workers=1, queue_max=99, clock=lambda: self.now)
        for _ in range(100):
            await submit_all(batcher, [0])
        self.ran.clear()
        return batcher


@pytest.mark.parametrize(
    ("frame_s", "light", "works", "ran"),
    [
        (0.0005, True, [1], ["MainThread"]),
        (0.0005, False, [1], ["isthmus"]),
        (0.002, True, [1], ["isthmus"]),
        (0.0005, True, [1, 2, 3], ["isthmus"] * 3),
    ],
    ids=["alone and quick", "not light", "slow", "in company"],
)
async def test_the_loop_computes_what_is_quick_and_alone(frame_s, light, works, ran):
    threads = Threads(frame_s)
    batcher = await threads.settled()
    done = await submit_all(batcher, works, light=light)
    assert (threads.ran, [job.result for job in done]) == (ran, works)
    done = await submit_all(batcher, works, light=light)
    assert (threads.ran, [job.result for job in done]) == (2 * ran, works)
    await batcher.close()


async def test_what_the_loop_has_taken_on_is_computed_before_the_end():
    threads, done = Threads(0.0005), []
    batcher = await threads.settled()
    batcher.submit(1, done.append, light=True)
    await batcher.close()
    assert [job.result for job in done] == [1]


async def test_the_loop_leaves_a_frame_to_the_workers_while_one_is_at_work(plug):
    threads = Threads(0.0005)
    batcher = await threads.settled()
    batcher._run = plug.run
    plug.open.clear()
    batcher.submit(1, lambda _job: None)
    await asyncio.to_thread(plug.entered.wait, 30)
    batcher.submit(2, lambda _job: None, light=True)
    await asyncio.sleep(0)
    assert (batcher.queued, plug.batches) == (1, [[1]])
    plug.open.set()
    await batcher.close()
    assert plug.batches == [[1], [2]]


async def test_a_batch_that_loses_a_result_fails_as_a_whole():
    batcher = Batcher(lambda _worker, works: works[:-1], workers=1, queue_max=5)
    (job,) = await submit_all(batcher, [1])
    await batcher.close()
    assert isinstance(job.error, ValueError)


async def test_queue_and_compute_times_come_from_the_clock(plug):
    ticks = iter([0.0, 2.0, 3.0, 7.0])  # queued, taken, begun, computed
    batcher = Batcher(plug.run, workers=1, queue_max=5, clock=lambda: next(ticks))
    (job,) = await submit_all(batcher, [1])
    await batcher.close()
    assert (job.queue_s, job.compute_s) == (2.0, 4.0)


async def test_closing_finishes_what_is_queued_ends_the_threads_and_takes_no_more(plug):
    batcher = Batcher(plug.run, workers=2, queue_max=50)
    done = []
    for work in range(20):
        batcher.submit(work, done.append)
    await batcher.close()
    assert len(done) == 20
    assert not any(thread.name.startswith("isthmus-worker") for thread in threading.enumerate())
    with pytest.raises(TailUnavailable, match="unloaded meanwhile"):
        batcher.submit(1, done.append)
