import numpy as np
import pytest

from isthmus.export.training.ensemble import Ensemble

PORTS = "n (float[batch, 4] x) => (float[batch, 4] y, int64[batch] best) {{\n    y = {} (x)\n"
BEST = "    best = ArgMax <axis = 1, keepdims = 0> (y)\n}"


@pytest.fixture
def pair(model_of):
    return [model_of(PORTS.format(operator) + BEST) for operator in ("Relu", "Neg")]


def test_floats_are_averaged_in_their_type_and_choices_are_left_out(pair):
    x = np.array([[1.0, -2.0, 3.0, 0.0]], np.float32)
    said = Ensemble(pair).answer({"x": x})
    assert list(said) == ["y"]
    assert said["y"].dtype == np.float32
    assert said["y"].tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_one_network_alone_says_what_it_says(pair):
    x = np.array([[1.0, -2.0, 3.0, 0.0]], np.float32)
    assert np.array_equal(Ensemble(pair[:1]).answer({"x": x})["y"], np.maximum(x, 0))
