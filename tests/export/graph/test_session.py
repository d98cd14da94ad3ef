import numpy as np
import pytest

from isthmus.errors import ExportError
from isthmus.export.graph.session import Session, relative_difference

PLAIN = "n (float[batch, 4] x, float[batch, 4] z) => (float[batch, 4] y) { y = Add (x, z) }"


def test_a_missing_input_is_named(model_of):
    with pytest.raises(ExportError, match="no array for input z"):
        Session(model_of(PLAIN)).run({"x": np.zeros((1, 4), np.float32)})


def test_arrays_that_do_not_fit_are_one_of_our_errors(model_of):
    with pytest.raises(ExportError, match="onnxruntime fails on the model"):
        Session(model_of(PLAIN)).run({"x": np.zeros((1, 4), np.float32), "z": np.zeros((1, 3), np.float32)})


@pytest.mark.parametrize(
    ("got", "want", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.1], [1.0, 2.0], 0.05),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [1.0, 1.0], np.inf),
        ([1.0, 1.0], [np.inf, 1.0], np.inf),
        ([1.0], [1.0, 2.0], np.inf),
    ],
)
def test_a_difference_is_relative_to_the_largest_value(got, want, difference):
    assert relative_difference([np.array(got)], [np.array(want)]) == pytest.approx(difference)


def test_a_missing_output_is_a_difference():
    assert relative_difference([], [np.zeros(1)]) == np.inf
