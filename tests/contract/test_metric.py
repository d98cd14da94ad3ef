import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from isthmus.contract.metric import Metric, proportion

COUNTS = some.integers(0, 10_000).flatmap(lambda trials: some.tuples(some.integers(0, trials), some.just(trials)))


@given(COUNTS)
def test_the_interval_holds_the_share_and_lies_between_0_and_1(counts):
    metric = proportion("accuracy", *counts)
    assert 0 <= metric.low <= metric.value <= metric.high <= 1


@given(COUNTS)
def test_successes_and_failures_have_mirrored_intervals(counts):
    successes, trials = counts
    metric, other = proportion("right", successes, trials), proportion("wrong", trials - successes, trials)
    if trials:
        assert (metric.low, metric.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-12)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(successes, trials, low, high):
    metric = proportion("accuracy", successes, trials)
    assert (metric.low, metric.high) == pytest.approx((low, high), abs=5e-5)


def test_more_trials_make_the_interval_narrower():
    widths = [metric.high - metric.low for metric in (proportion("accuracy", 9 * n, 10 * n) for n in (1, 10, 100))]
    assert widths == sorted(widths, reverse=True)


def test_without_trials_nothing_is_known():
    assert proportion("accuracy", 0, 0) == Metric(name="accuracy", value=0.0, low=0.0, high=1.0)


@pytest.mark.parametrize("wrong", [{"value": 1.2}, {"low": -0.1}, {"high": float("nan")}, {"extra": 1}])
def test_a_metric_outside_0_and_1_is_refused(wrong):
    with pytest.raises(ValidationError):
        Metric.model_validate({"name": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6, **wrong})
