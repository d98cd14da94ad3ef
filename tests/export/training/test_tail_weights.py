import numpy as np
import pytest

from isthmus.errors import ExportError
from isthmus.export.doors.opening import open_model
from isthmus.export.graph.session import Session
from isthmus.export.training import tail_weights


def test_weights_are_changed_and_constants_are_not(handmade):
    assert tail_weights.trainable(handmade["skip"]) == {"w1", "b1", "w2", "b2", "w3", "b3"}


def test_statistics_of_batch_norms_stay(networks):
    model = open_model("networks:normalised").model
    found = tail_weights.trainable(model)
    norms = [node for node in model.graph if node.op_type == "BatchNormalization"]
    assert norms
    for node in norms:
        names = [value.name for value in node.inputs]
        assert len(set(names)) == 5
        assert {names[1], names[2]} <= found
        assert {names[3], names[4]}.isdisjoint(found)


def test_an_array_that_is_a_weight_here_and_a_statistic_there_stays(model_of):
    text = """
    n (float[batch, 4, 8, 8] x) => (float[batch, 4, 8, 8] y) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w2, b2)
        c = Clip (a, b1, b1)
        y = Conv <pads = [1, 1, 1, 1]> (c, w2, b1)
    }
    """
    assert tail_weights.trainable(model_of(text)) == {"w2", "b2"}


def test_what_is_added_to_a_matrix_product_is_its_bias(model_of):
    model = model_of("n (float[batch, 8] x) => (float[batch, 5] y) { a = Transpose (w3) b = MatMul (x, a) y = Add (b, b3) }")
    assert "b3" in tail_weights.trainable(model)


def test_written_weights_are_in_the_copy_alone(handmade):
    model = handmade["skip"]
    before = model.graph.initializers["b3"].const_value.numpy().copy()
    made = tail_weights.written(model, {"b3": before + 1})
    assert np.array_equal(model.graph.initializers["b3"].const_value.numpy(), before)
    picture = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
    one, other = (Session(each).run({"x": picture})["answer"] for each in (model, made))
    assert np.allclose(other, one + 1, atol=1e-5)


def test_weights_keep_the_type_of_the_network(networks):
    model = open_model("networks:half").model
    name = next(name for name in tail_weights.trainable(model))
    array = model.graph.initializers[name].const_value.numpy()
    made = tail_weights.written(model, {name: array.astype(np.float32)})
    assert made.graph.initializers[name].const_value.numpy().dtype == np.float16
    with pytest.raises(ExportError, match=f"the trained weights '{name}' do not fit FLOAT16"):
        tail_weights.written(model, {name: np.full(array.shape, 1e9, np.float32)})


def test_foreign_weights_are_refused(handmade):
    with pytest.raises(ExportError, match=r"no weights 'b3' of shape \[6\]"):
        tail_weights.written(handmade["skip"], {"b3": np.zeros(6, np.float32)})
