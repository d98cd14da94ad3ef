"""Intervals cover what they should, and pairs are sharper than shares."""

import numpy as np
import pytest


@pytest.fixture
def statistics(package):
    return package("benchmarks.headline.statistics")


def test_a_difference_without_spread_has_no_width(statistics) -> None:
    found = statistics.paired([np.full(20, 0.5), np.full(30, 0.5)])
    assert (found.value, found.low, found.high, found.upper) == (0.5, 0.5, 0.5, 0.5)


def test_one_fold_has_the_width_of_a_mean(statistics) -> None:
    values = np.random.default_rng(0).normal(0, 1, 900)
    found = statistics.paired([values])
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 30, rel=0.08)
    assert found.low < found.value < found.upper < found.high


def test_folds_that_differ_widen_the_interval(statistics) -> None:
    """The same photos once as one cluster each and once as one heap: trainings that differ must not look like luck of photos."""
    folds = [np.full(50, level) for level in (0.0, 0.1, 0.2, 0.3, 0.4)]
    clustered, heaped = statistics.paired(folds), statistics.paired([np.concatenate(folds)])
    assert clustered.high - clustered.low > 3 * (heaped.high - heaped.low)


def test_folds_of_other_sizes_keep_the_mean_of_all_photos(statistics) -> None:
    assert statistics.paired([np.ones(30), np.zeros(10)]).value == 0.75


def test_divergence_of_known_chances(statistics) -> None:
    teacher, other = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]) + 3.0
    assert statistics.divergence(teacher, other)[0] == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75))
    assert statistics.divergence(teacher, teacher + 100) == pytest.approx(0)


def test_right_is_the_largest(statistics) -> None:
    assert statistics.correct(np.array([[0.1, 3.0], [2.0, -1.0]]), np.array([1, 1])).tolist() == [1, 0]
