"""What makes a cell's figures a trial and no result."""

import numpy as np
import pytest

from isthmus.bench import settling
from isthmus.bench.cell import Answer, Cell
from isthmus.bench.scenario import SINGLE_STREAM, Scenario


def a_cell(latencies_s, **facts) -> Cell:
    facts_of_each = {"start": 0, "payload_bytes": 0, "guess": 0}
    answers = [Answer(sequence=place, latency_s=float(latency), **facts_of_each) for place, latency in enumerate(latencies_s)]
    return Cell(placement=None, link=None, answers=answers, **facts)


def scattered(count, *, seed=0):
    return 0.02 * np.random.default_rng(seed).lognormal(0, 0.1, count)


def test_a_steady_cell_has_no_reasons():
    assert list(settling.reasons(a_cell(scattered(200)), SINGLE_STREAM, starts=1)) == []


def test_latencies_that_climb_are_told_with_their_share():
    [reason] = settling.reasons(a_cell(scattered(200) * np.linspace(1, 2, 200)), SINGLE_STREAM, starts=1)
    assert reason.startswith("its median latency went from the first half of each start to the second by +")


def test_starts_that_differ_are_no_drift():
    latencies = np.concatenate([scattered(100, seed=1), scattered(100, seed=2) * 2])
    assert settling.drift(latencies, np.repeat([0, 1], 100)) is None
    assert settling.drift(latencies, np.zeros(200, int)) == pytest.approx(1.0, abs=0.2)


def test_few_answers_tell_no_drift():
    assert settling.drift(np.array([1.0, 9.0]), np.array([0, 0])) is None
    assert settling.drift(np.zeros(0), np.zeros(0, int)) is None


def test_times_that_had_not_settled_are_told():
    [reason] = settling.reasons(a_cell(scattered(200), unsettled_starts=1), SINGLE_STREAM, starts=2)
    assert "had not settled" in reason


@pytest.mark.parametrize(("drain_s", "behind"), [(0.1, False), (2.0, True)])
def test_a_server_that_works_on_after_the_last_frame_fell_behind(drain_s, behind):
    cell = a_cell(scattered(200), span_s=10.0, drain_s=drain_s)
    reasons = list(settling.reasons(cell, Scenario(name="server", rate_per_s=30.0), starts=1))
    assert reasons == ["it fell behind: 20 of 30 frames/s were answered, and a queue grew"] * behind
