import itertools

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.watching.history import STEPS, History
from isthmus.tail.watching.metrics import Metrics


class Named:
    name, version = "tiny", "1"


@pytest.fixture
def metrics():
    return Metrics(served=lambda: (), sessions=lambda: 0)


@pytest.fixture
def stream(metrics):
    return metrics.of(Named()).open_stream(number=1, device_id="camera", session="", resumed=False, opened_at=0.0)


@pytest.fixture
def history(metrics):
    """Its clock goes on by two seconds with every sample."""
    return History(metrics, queued=lambda: 7, clock=itertools.count(0, 2).__next__)


def answer(stream, *, times, total_s, status=wire.STATUS_OK):
    for _ in range(times):
        stream.received("split", 100)
        stream.answered("split", status, (0.001, 0.001, 0.001, 0.001, total_s))


def test_rates_are_what_came_between_two_samples_over_the_time_between_them(history, stream):
    answer(stream, times=10, total_s=0.01)
    answer(stream, times=4, total_s=0.01, status=wire.STATUS_INVALID)
    history.sample()
    history.sample()
    assert history.rates() == {
        "answered": [5.0, 0.0],
        "failed": [2.0, 0.0],
        "requests": [0.0, 0.0],
        "payload_bytes": [700.0, 0.0],
    }
    assert history.levels() == {"queued": [7, 7], "streams": [1, 1]}


def test_percentiles_are_of_the_last_minute_only(history, stream):
    answer(stream, times=100, total_s=1.5)
    for _ in range(61):
        history.sample()
    answer(stream, times=100, total_s=0.015)
    history.sample()
    p50, p95, p99 = history.percentiles_s()["total"]
    assert 0.01 <= p50 <= p95 <= p99 <= 0.02


def test_nothing_answered_has_no_percentiles(history):
    assert history.percentiles_s()["compute"] == [None, None, None]


def test_two_minutes_are_kept(history):
    for _ in range(500):
        history.sample()
    assert len(history.rates()["answered"]) == STEPS


def test_a_version_that_is_forgotten_makes_no_negative_rate(history, stream, metrics):
    answer(stream, times=10, total_s=0.01)
    history.sample()
    metrics._bundles.clear()
    history.sample()
    assert history.rates()["answered"] == [5.0, 0.0]
    assert history.percentiles_s()["total"] == [None, None, None]
