import numpy as np

from isthmus.codec.regression import select

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(size=(6, 5000))


def test_the_terms_of_a_sum_are_found_with_their_weights() -> None:
    weights = select(list(NOISE), 2 * NOISE[1] - 0.5 * NOISE[4] + 7, terms_max=6)
    assert sorted(weights) == [1, 4]
    assert abs(weights[1] - 2) < 0.02
    assert abs(weights[4] + 0.5) < 0.02


def test_weights_are_those_of_least_squares_when_terms_are_alike() -> None:
    terms = [NOISE[0], NOISE[0] + 0.5 * NOISE[1]]
    target = terms[0] + 3 * terms[1] + NOISE[2]
    found = select(terms, target, terms_max=2)
    wanted = np.linalg.lstsq(np.stack([*terms, np.ones(5000)]).T, target, rcond=None)[0]
    assert np.abs([found[0] - wanted[0], found[1] - wanted[1]]).max() < 0.15


def test_the_best_terms_come_in_when_there_is_room_for_few() -> None:
    target = sum((index + 1) * NOISE[index] for index in range(6))
    assert sorted(select(list(NOISE), target, terms_max=2)) == [4, 5]


def test_useless_terms_stay_out() -> None:
    assert select(list(NOISE[:5]), NOISE[5], terms_max=5) == {}


def test_a_constant_target_needs_no_term() -> None:
    assert select(list(NOISE), np.full(5000, 3.0), terms_max=5) == {}


def test_a_constant_candidate_is_never_chosen() -> None:
    assert sorted(select([np.ones(5000), NOISE[0]], NOISE[0], terms_max=2)) == [1]


def test_nothing_is_learned_from_one_sample() -> None:
    assert select([np.array([1.0])], np.array([2.0]), terms_max=3) == {}
