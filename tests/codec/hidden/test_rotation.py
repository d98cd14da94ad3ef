import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.hidden import rotation


def signs_of(width: int) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([-1, 1], np.float32), width)


@given(st.integers(1, 5), st.integers(1, 200))
def test_turning_back_gives_the_rows_again(count: int, width: int) -> None:
    rows = np.random.default_rng(width).normal(0, 10, (count, width)).astype(np.float32)
    back = rotation.turn_back(rotation.turn(rows, signs_of(width)), signs_of(width))
    np.testing.assert_allclose(back, rows, atol=1e-4)


@pytest.mark.parametrize("width", [1, 2, 64, 96, 576])
def test_a_rotation_keeps_the_length_of_every_row(width: int) -> None:
    rows = np.random.default_rng(1).normal(size=(3, width)).astype(np.float32)
    turned = rotation.turn(rows, signs_of(width))
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(rows, axis=1), rtol=1e-5)


def test_a_power_of_two_is_turned_as_a_whole_by_the_hadamard_matrix() -> None:
    one = np.array([[1, 1], [1, -1]], np.float32)
    matrix = np.kron(np.kron(one, one), one) / np.sqrt(8)
    np.testing.assert_allclose(rotation.turn(np.eye(8, dtype=np.float32), np.ones(8, np.float32)), matrix, atol=1e-6)


def test_another_width_is_turned_in_blocks() -> None:
    turned = rotation.turn(np.eye(12, dtype=np.float32), np.ones(12, np.float32))
    assert rotation.block_of(12) == 4
    assert np.flatnonzero(turned[5]).tolist() == [4, 5, 6, 7]


def test_one_large_channel_is_spread_over_all() -> None:
    rows = np.zeros((1, 256), np.float32)
    rows[0, 9] = 160.0
    assert np.abs(rotation.turn(rows, signs_of(256))).max() == 10.0
