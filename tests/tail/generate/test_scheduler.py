"""With a network that only says what it is asked for, so that the order of runs can be seen."""

import asyncio
import threading

import numpy as np
import pytest

from isthmus.errors import DeviceError, Overloaded, TailUnavailable
from isthmus.tail.generate.scheduler import STRETCH_ROWS_MAX, Scheduler, Work


class Recorder:
    """Stands in for a decoder: writes down its runs, and waits for `go` before each."""

    gives_logits = True

    def __init__(self):
        self.runs = []
        self.go = threading.Semaphore(0)
        self.broken = ()

    def run(self, rows, cache, pos, *, keep):
        self.go.acquire()
        self.runs.append((cache, pos, len(rows)))
        return np.zeros((keep, 3), np.float32)

    def run_together(self, steps):
        self.go.acquire()
        self.runs.append(tuple(step.cache for step in steps))
        if any(step.cache in self.broken for step in steps):
            raise DeviceError("broken")
        return [np.full((1, 3), step.pos, np.float32) for step in steps]


@pytest.fixture
async def network():
    return Recorder()


@pytest.fixture
async def scheduler(network):
    made = Scheduler(round_max=4, queue_bytes_max=1 << 20)
    yield made
    network.go.release(1000)
    await made.close()


def submit(scheduler, network, cache, rows=1, pos=0, **options):
    done = asyncio.get_running_loop().create_future()
    work = Work(decoder=network, rows=np.zeros((rows, 8), np.float32), cache=cache, pos=pos, finish=lambda given: given.shape)
    job = scheduler.submit(work, done.set_result, **{"client": "one", "stream": cache, **options})
    return job, done


async def test_rows_of_several_conversations_go_together_and_nobody_waits_for_company(scheduler, network):
    first = submit(scheduler, network, "a")
    while scheduler.queued:
        await asyncio.sleep(0.001)
    others = [submit(scheduler, network, name) for name in "bcdef"]
    network.go.release(3)
    await asyncio.gather(*(done for _, done in [first, *others]))
    assert network.runs == [("a",), ("b", "c", "d", "e"), ("f",)]


async def test_tokens_and_stretches_of_a_prompt_take_turns(scheduler, network):
    first = submit(scheduler, network, "first")
    while scheduler.queued:
        await asyncio.sleep(0.001)
    prompt = submit(scheduler, network, "prompt", rows=4 * STRETCH_ROWS_MAX)
    tokens = [submit(scheduler, network, f"talk {number}") for number in range(12)]
    network.go.release(100)
    await asyncio.gather(*(done for _, done in [first, prompt, *tokens]))
    is_stretch = [run[0] == "prompt" for run in network.runs]
    assert is_stretch[:7] == [False, False, True, False, True, False, True]
    stretches = [run for run in network.runs if run[0] == "prompt"]
    assert [pos for _, pos, _ in stretches] == [sum(rows for _, _, rows in stretches[:index]) for index in range(len(stretches))]
    assert sum(rows for _, _, rows in stretches) == 4 * STRETCH_ROWS_MAX
    assert prompt[0].result == (1, 3)


async def test_one_broken_row_does_not_spoil_those_of_others(scheduler, network):
    network.broken = ("b",)
    first = submit(scheduler, network, "a")
    while scheduler.queued:
        await asyncio.sleep(0.001)
    jobs = [submit(scheduler, network, name) for name in "bcd"]
    network.go.release(100)
    await asyncio.gather(first[1], *(done for _, done in jobs))
    assert [type(job.error) for job, _ in jobs] == [DeviceError, type(None), type(None)]
    assert [job.result for job, _ in jobs] == [None, (1, 3), (1, 3)]


async def test_a_cancelled_prompt_is_told_when_nobody_uses_its_cache_any_more(scheduler, network):
    job, done = submit(scheduler, network, "prompt", rows=4 * STRETCH_ROWS_MAX)
    network.go.release(1)
    while not network.runs:
        await asyncio.sleep(0.001)
    job.cancel()
    network.go.release(100)
    assert await done is job
    assert (job.result, job.error) == (None, None)
    assert 0 < job.work.done < 4 * STRETCH_ROWS_MAX


async def test_what_came_too_late_is_not_computed(scheduler, network):
    job, done = submit(scheduler, network, "a", expires_at=0.0)
    await done
    assert (job.expired, network.runs) == (True, [])


async def test_a_failing_result_is_the_error_of_its_job(scheduler, network):
    def fail(_given):
        raise DeviceError("no number")

    done = asyncio.get_running_loop().create_future()
    work = Work(decoder=network, rows=np.zeros((1, 8), np.float32), cache="a", pos=0, finish=fail)
    scheduler.submit(work, done.set_result, client="one", stream="a")
    network.go.release(1)
    assert str((await done).error) == "no number"


async def test_too_much_that_waits_is_refused_with_a_hint(scheduler, network):
    for name in "ab":
        submit(scheduler, network, name, rows=16_000)
    while scheduler.queued > 1:
        await asyncio.sleep(0.001)
    submit(scheduler, network, "c", rows=16_000)
    with pytest.raises(Overloaded, match="steps wait already"):
        submit(scheduler, network, "d", rows=16_000)


async def test_a_closed_scheduler_finishes_what_it_has_and_takes_nothing(network):
    scheduler = Scheduler(round_max=4, queue_bytes_max=1 << 20)
    jobs = [submit(scheduler, network, name) for name in "abc"]
    network.go.release(100)
    await scheduler.close()
    assert all(done.done() for _, done in jobs)
    with pytest.raises(TailUnavailable, match="unloaded"):
        submit(scheduler, network, "d")
