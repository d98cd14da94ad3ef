"""Standard errors of series that remember: known from theory, found by blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.bench import doubt


def remembering(count: int, memory: float, seed: int) -> np.ndarray:
    """An autoregressive series of variance 1."""
    noise = np.random.default_rng(seed).normal(size=count) * np.sqrt(1 - memory**2)
    series = np.empty(count)
    series[0] = noise[0]
    for place in range(1, count):
        series[place] = memory * series[place - 1] + noise[place]
    return series


def test_the_error_of_independent_values_is_that_of_the_textbook():
    values = np.random.default_rng(1).normal(size=2000)
    assert doubt.block_length(values) <= 3
    assert doubt.mean_error(values) == pytest.approx(1 / np.sqrt(2000), rel=0.15)


def test_values_that_remember_are_drawn_in_blocks_and_doubted_more():
    errors = [doubt.mean_error(remembering(2000, 0.8, seed)) for seed in range(8)]
    # Of an autoregressive series the mean's error is larger by sqrt((1 + memory) / (1 - memory)) = 3.
    assert np.mean(errors) * np.sqrt(2000) == pytest.approx(3, rel=0.25)
    assert doubt.block_length(remembering(2000, 0.8, 0)) > 10


def test_the_error_of_the_median_is_that_of_the_textbook():
    values = np.random.default_rng(2).normal(size=2000)
    [median] = doubt.quantile_errors(values, [50])
    assert median == pytest.approx(np.sqrt(np.pi / 2 / 2000), rel=0.2)


def test_one_outlier_of_a_second_moves_no_median():
    values = np.random.default_rng(3).normal(10, 1, 500)
    values[250] = 1e6
    assert doubt.quantile_errors(values, [50])[0] < 0.2


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_any_series_has_an_error_and_blocks_shorter_than_itself(values):
    series = np.array(values)
    assert 1 <= doubt.block_length(series) <= len(series)
    assert np.isfinite(doubt.mean_error(series))
    assert np.isfinite(doubt.quantile_errors(series, [50, 95])).all()


def test_the_same_values_give_the_same_error():
    values = remembering(300, 0.5, 4)
    assert doubt.mean_error(values) == doubt.mean_error(values)
