import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from isthmus.codec.histogram import ENTRIES_MAX, choose_frequencies, choose_thresholds, make_frequencies, normalise
from isthmus.codec.table import FRACTIONS

RANDOM = np.random.default_rng(0)


@given(weights=arrays.arrays(np.float64, st.integers(1, 256), elements=st.floats(1e-3, 1e6)))
def test_frequencies_are_whole_at_least_one_and_sum_to_4096(weights: np.ndarray) -> None:
    found = normalise(weights)
    assert found.min() >= 1
    assert int(found.sum()) == 4096
    assert np.abs(found - 1 - weights / weights.sum() * (4096 - len(weights))).max() <= 1


def test_thresholds_part_where_the_misses_change() -> None:
    expected = RANDOM.integers(0, 100, 20_000)
    miss = np.where(expected < 40, RANDOM.integers(0, 2, 20_000), RANDOM.integers(-8, 8, 20_000))
    thresholds = choose_thresholds(expected, miss, 4)
    assert len(thresholds) == 15
    assert min(abs(threshold - 40) for threshold in thresholds) <= 1
    assert list(thresholds) == sorted(thresholds)


def test_a_single_expected_error_makes_levels_that_nobody_reaches() -> None:
    thresholds = choose_thresholds(np.full(100, 7), RANDOM.integers(-2, 2, 100), 2)
    assert len(thresholds) == 15
    assert len({int(np.searchsorted(thresholds, 7, side="right"))}) == 1


def test_what_was_seen_often_gets_most_and_what_was_never_seen_stays_possible() -> None:
    nothing = np.zeros(1000, np.int32)
    frequencies = make_frequencies(nothing, nothing, fractions=1, bits=4, alphabet_bits=4)
    assert frequencies.shape == (16, 16)
    assert frequencies[0, 0] > 3500
    assert frequencies.min() >= 1
    assert frequencies[9, 0] > frequencies[9, 8]


def chosen(miss: np.ndarray, part: np.ndarray, bits: int) -> tuple[int, int]:
    parts = {fractions: part * fractions // 8 for fractions in FRACTIONS}
    fractions, frequencies = choose_frequencies(np.zeros(len(miss), np.int32), parts, miss, bits)
    assert frequencies.size <= ENTRIES_MAX
    return fractions, frequencies.shape[1]


def test_codes_of_many_bits_that_use_few_get_a_small_alphabet() -> None:
    miss = RANDOM.integers(-1, 2, 50_000).astype(np.int32)
    assert chosen(miss, np.zeros(50_000, np.int32), 8)[1] == 4


def test_codes_that_use_all_their_bits_get_them() -> None:
    miss = np.clip(np.rint(RANDOM.normal(size=200_000) * 40), -128, 127).astype(np.int32)
    assert chosen(miss, np.zeros(200_000, np.int32), 8)[1] == 256


def test_fractions_are_told_apart_where_that_saves_bits() -> None:
    part = RANDOM.integers(0, 8, 50_000).astype(np.int32)
    told = (RANDOM.random(50_000) < part / 16).astype(np.int32)
    blind = (RANDOM.random(50_000) < 0.25).astype(np.int32)
    assert chosen(told, part, 4)[0] >= 4
    assert chosen(blind, part, 4)[0] == 1
