import numpy as np
import pytest

from isthmus.errors import ExportError, NoEnd
from isthmus.export.doors import examples
from isthmus.export.graph import session
from isthmus.export.graph.session import Session, relative_difference

PLAIN = "n (float[batch, 4] x, float[batch, 4] z) => (float[batch, 4] y) { y = Add (x, z) }"


def test_a_missing_input_is_named(model_of):
    with pytest.raises(ExportError, match="no array for input z"):
        Session(model_of(PLAIN)).run({"x": np.zeros((1, 4), np.float32)})


def test_arrays_that_do_not_fit_are_one_of_our_errors(model_of):
    with pytest.raises(ExportError, match="onnxruntime fails on the model"):
        Session(model_of(PLAIN)).run({"x": np.zeros((1, 4), np.float32), "z": np.zeros((1, 3), np.float32)})


ENDLESS = """
n (float[batch, 4] x) => (float[batch, 4] y) {
    trips = Constant <value_int = 9223372036854775807> ()
    one = Constant <value_int = 1> ()
    go = Cast <to = 9> (one)
    again = Loop (trips, go, x) <
        body = step (int64 i, bool c, float[batch, 4] v) => (bool d, float[batch, 4] w) { d = Identity (c) w = Neg (v) }
    >
    y = Relu (again)
}
"""


@pytest.mark.parametrize("run", [lambda model: Session(model).run({"x": np.ones((1, 4), np.float32)}), examples.that_run])
def test_a_loop_without_end_is_stopped(model_of, monkeypatch, run):
    monkeypatch.setattr(session, "LOOP_LIMIT_S", 0.05)
    with pytest.raises(NoEnd, match=r"stopped after 0.05 s: its Loop node_1 does not end"):
        run(model_of(ENDLESS))


def test_a_loop_that_ends_is_let_run(model_of):
    three = ENDLESS.replace("9223372036854775807", "3")
    assert Session(model_of(three)).run({"x": -np.ones((1, 4), np.float32)})["y"].tolist() == [[1, 1, 1, 1]]


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
