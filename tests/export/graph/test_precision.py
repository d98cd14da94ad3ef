import numpy as np
import onnx_ir as ir
import pytest
import torch

from isthmus.export.doors.opening import open_model
from isthmus.export.graph.precision import in_single
from isthmus.export.graph.session import Session
from isthmus.export.training.interpreter import OnnxModule


@pytest.fixture
def half(networks):
    return open_model("networks:half").model


def types(model):
    return {value.dtype for value in (*model.graph.initializers.values(), *(v for node in model.graph for v in node.outputs))}


def test_half_precision_becomes_float32_with_the_same_values(half):
    x = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)
    (wanted,) = Session(half).run({half.graph.inputs[0].name: x}).values()
    single = in_single(half)
    (found,) = Session(single).run({half.graph.inputs[0].name: x}).values()
    assert ir.DataType.FLOAT16 not in types(single)
    assert found == pytest.approx(wanted, abs=2e-3)
    answer = OnnxModule(single)(torch.from_numpy(x))
    assert (answer.dtype, answer.numpy()) == (torch.float32, pytest.approx(found, abs=1e-5))


def test_types_that_an_operator_is_told_become_float32_too(model_of):
    text = """n (float[batch, 2] x) => (float[batch, 2] y) {
        size = Shape (x)
        half = ConstantOfShape <value = float16[1] {15360}> (size)
        y = Cast <to = 1> (half)
    }"""
    single = in_single(model_of(text))
    assert ir.DataType.FLOAT16 not in types(single)
    assert Session(single).run({"x": np.zeros((1, 2), np.float32)})["y"].tolist() == [[1, 1]]


def test_the_model_itself_is_left_alone(half, handmade):
    before = types(half)
    in_single(half)
    assert ir.DataType.FLOAT16 in before
    assert types(half) == before
    assert in_single(handmade["skip"]) is handmade["skip"]
