import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from isthmus.codec.histogram import choose_thresholds, make_frequencies, normalise

RANDOM = np.random.default_rng(0)


@given(weights=arrays.arrays(np.float64, st.integers(1, 256), elements=st.floats(1e-3, 1e6)))
def test_frequencies_are_whole_at_least_one_and_sum_to_4096(weights: np.ndarray) -> None:
    found = normalise(weights)
    assert found.min() >= 1
    assert int(found.sum()) == 4096
    assert np.abs(found - 1 - weights / weights.sum() * (4096 - len(weights))).max() <= 1


def test_thresholds_part_where_the_symbols_change() -> None:
    expected = RANDOM.integers(0, 100, 20_000)
    coded = np.where(expected < 40, RANDOM.integers(0, 2, 20_000), RANDOM.integers(0, 16, 20_000))
    thresholds = choose_thresholds(expected, coded, 16)
    assert len(thresholds) == 15
    assert min(abs(threshold - 40) for threshold in thresholds) <= 1
    assert list(thresholds) == sorted(thresholds)


def test_a_single_expected_error_makes_levels_that_nobody_reaches() -> None:
    thresholds = choose_thresholds(np.full(100, 7), RANDOM.integers(0, 4, 100), 4)
    assert len(thresholds) == 15
    assert len({int(np.searchsorted(thresholds, 7, side="right"))}) == 1


def test_what_was_seen_often_gets_most_and_what_was_never_seen_stays_possible() -> None:
    frequencies = make_frequencies(np.zeros(1000, np.int64), np.zeros(1000, np.int64), fractions=1, bits=4)
    assert frequencies.shape == (16, 16)
    assert frequencies[0, 0] > 3500
    assert frequencies.min() >= 1
    assert frequencies[9, 0] > frequencies[9, 8]
