import pytest
import torch
from torch import nn

from isthmus.export.training import pace
from isthmus.export.training.pace import Pace


@pytest.fixture(autouse=True)
def _same_threads_afterwards():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clock(monkeypatch):
    """Durations that steps will seem to take, set by the test."""
    elapsed = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: elapsed[0])
    return elapsed


@pytest.mark.parametrize("best", [(1, False), (1, True), (2, False), (2, True)])
def test_the_fastest_way_is_chosen_and_applied(monkeypatch, clock, best):
    monkeypatch.setattr(pace.os, "sched_getaffinity", lambda _pid: {0, 1})

    def step(way):
        clock[0] += 1.0 if (way.threads, way.half_precision) == best else 3.0

    chosen = pace.fastest(step)
    assert (chosen.threads, chosen.half_precision, chosen.step_s) == (*best, 1.0)
    assert torch.get_num_threads() == best[0]


def test_one_lucky_trial_does_not_win(monkeypatch, clock):
    monkeypatch.setattr(pace.os, "sched_getaffinity", lambda _pid: {0})
    durations = {False: [2.0, 2.0, 2.0], True: [0.1, 3.0, 3.0]}

    def step(way):
        clock[0] += durations[way.half_precision].pop(0)

    assert not pace.fastest(step).half_precision


def test_steps_run_with_the_threads_that_are_timed():
    seen = []
    pace.fastest(lambda way: seen.append((way.threads, torch.get_num_threads())))
    assert all(wanted == found for wanted, found in seen)


@pytest.mark.parametrize(("half", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_half_precision_is_what_the_forward_pass_computes_in(half, dtype):
    with Pace(threads=1, half_precision=half).autocast():
        assert nn.Linear(4, 4)(torch.rand(2, 4)).dtype == dtype


def test_channels_last_moves_weights_and_keeps_answers():
    layer = nn.Conv2d(3, 4, 3)
    picture = torch.rand(1, 3, 8, 8)
    before = layer(picture)
    assert pace.channels_last(layer).weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(picture), before)
