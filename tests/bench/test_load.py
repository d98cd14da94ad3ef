"""Frames are due when the scenario says, whatever became of those before."""

import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest

from isthmus.bench import load
from isthmus.bench.runner import Exchange
from isthmus.bench.scenario import Scenario
from isthmus.errors import TailUnavailable

PICTURES = [np.full((1, 1, 3), index, np.uint8) for index in range(12)]


class Device:
    """Takes pictures like a runner; each is on the device for so long, and answered at once after it."""

    def __init__(self, spent_s=0.0, failing=False):
        self.spent_s, self.failing, self.seen = spent_s, failing, []

    def begin(self, picture):
        promise = Future()
        self.seen.append(int(picture.max()))
        if self.failing:
            promise.set_exception(TailUnavailable("gone"))
            return promise
        threading.Event().wait(self.spent_s)
        promise.set_result(Exchange(done_at=time.perf_counter(), payload_bytes=int(picture.max())))
        return promise


def ask(scenario, devices, seed=0):
    return load.ask(scenario, devices, PICTURES, np.random.default_rng(seed))


def test_a_slow_device_makes_later_frames_wait_and_their_wait_counts():
    asked = ask(Scenario(name="server", rate_per_s=1000.0), [Device(0.02)])
    latencies = [one.latency_s for one in asked]
    # Sent when the one before was answered, each would take 20 ms; counted from when it was due, each waits for all before it.
    assert latencies == sorted(latencies)
    assert latencies[-1] > 0.1


def test_arrivals_are_random_and_the_same_for_the_same_seed():
    gaps = [
        np.diff([one.due_at for one in ask(Scenario(name="server", rate_per_s=2000.0), [Device()], seed)]) for seed in (1, 1, 2)
    ]
    np.testing.assert_allclose(gaps[0], gaps[1], atol=1e-9)
    assert not np.allclose(gaps[0], gaps[2])


def test_every_frame_goes_to_one_device_in_order_and_comes_back_in_its_place():
    devices = [Device(), Device(), Device()]
    asked = ask(Scenario(name="server", rate_per_s=5000.0, streams=3), devices)
    assert [one.exchange.payload_bytes for one in asked] == [*range(12)]
    assert sorted(seen for device in devices for seen in device.seen) == [*range(12)]
    assert all(device.seen == sorted(device.seen) for device in devices)


def test_offline_frames_are_all_due_at_once():
    asked = ask(Scenario(name="offline"), [Device()])
    assert len({one.due_at for one in asked}) == 1


def test_a_query_lasts_until_its_last_answer_and_the_next_begins_then():
    asked = ask(Scenario(name="multi-stream", streams=4), [Device(), Device(0.05), Device(), Device()])
    assert [len({one.latency_s for one in asked[first : first + 4]}) for first in (0, 4, 8)] == [1, 1, 1]
    assert min(one.latency_s for one in asked) >= 0.05
    assert asked[4].due_at >= asked[0].due_at + 0.05


@pytest.mark.parametrize("scenario", [Scenario(name="offline"), Scenario(name="server", rate_per_s=9999.0)])
def test_a_frame_without_an_answer_says_why(scenario):
    assert {one.exchange.failure for one in ask(scenario, [Device(failing=True)])} == {"TailUnavailable"}
