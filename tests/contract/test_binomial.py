import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.contract.binomial import at_least, interval, lower_bound, misses_allowed, trials_needed


@given(trials=some.integers(1, 40), chance=some.floats(0.001, 0.999), data=some.data())
def test_tails_are_sums_of_the_probabilities(trials, chance, data):
    successes = data.draw(some.integers(0, trials))
    wanted = sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1))
    assert at_least(successes, trials, chance) == pytest.approx(wanted, abs=1e-12)


@given(trials=some.integers(1, 400), confidence=some.sampled_from([0.5, 0.9, 0.95, 0.99]), data=some.data())
def test_the_bound_is_the_chance_with_which_so_many_are_just_that_unlikely(trials, confidence, data):
    successes = data.draw(some.integers(1, trials))
    bound = lower_bound(successes, trials, confidence)
    assert at_least(successes, trials, bound) == pytest.approx(1 - confidence, abs=1e-9)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1)]
)
def test_intervals_are_those_of_the_tables(successes, trials, low, high):
    found = interval("share", successes, trials)
    assert (found.value, found.low, found.high) == (
        successes / trials,
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )


def test_without_trials_nothing_is_known():
    assert (interval("share", 0, 0).low, interval("share", 0, 0).high) == (0, 1)


@given(share=some.floats(0.5, 0.999), confidence=some.floats(0.5, 0.99))
def test_so_many_trials_are_needed_and_one_fewer_is_too_few(share, confidence):
    needed = trials_needed(share, confidence)
    assert lower_bound(needed, needed, confidence) >= share - 1e-9
    assert needed == 1 or lower_bound(needed - 1, needed - 1, confidence) < share + 1e-9


@given(trials=some.integers(1, 600))
def test_one_more_miss_than_allowed_is_too_many(trials):
    allowed = misses_allowed(trials, 0.95, 0.95)
    more = 0 if allowed is None else allowed + 1
    assert lower_bound(trials - more, trials, 0.95) < 0.95
    assert allowed is None or lower_bound(trials - allowed, trials, 0.95) >= 0.95
