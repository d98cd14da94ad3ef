import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from isthmus.export import gates
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.doors import opening
from isthmus.export.graph import weights
from isthmus.export.graph.session import Session

LARGE = """
n (float[batch, 3, 8, 8] x) => (float[batch, 32] y) {
    a = Flatten (x)
    b = MatMul (a, wide)
    c = Relu (b)
    d = MatMul (c, square)
    e = Relu (d)
    y = MatMul (e, square_2)
}
"""


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file with its weights beside it, 32 kB of them, where 20 kB count as large."""
    monkeypatch.setattr(weights, "LARGE_BYTES", 20_000)
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>{LARGE}')
    generator = np.random.default_rng(0)
    for name, shape in (("wide", (192, 32)), ("square", (32, 32)), ("square_2", (32, 32))):
        array = generator.normal(0, 0.2, shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(proto, tmp_path / "large.onnx", save_as_external_data=True, location="large.data", size_threshold=0)
    return tmp_path / "large.onnx"


@pytest.fixture
def halves(large):
    source = opening.open_model(str(large))
    return source, split(source.model, cuts.find(cuts.enumerate(source.model), "c"))


def stays_in_its_file(model):
    return all(isinstance(value.const_value, ir.ExternalTensor) for value in model.graph.initializers.values())


def run(path, **feeds):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


def test_large_weights_stay_in_their_file_through_every_step(halves):
    source, parts = halves
    assert stays_in_its_file(source.model)
    assert stays_in_its_file(parts.head)
    assert stays_in_its_file(parts.tail)


def test_a_session_on_large_weights_answers_as_the_file_does(halves, large):
    x = np.random.default_rng(1).random((2, 3, 8, 8), dtype=np.float32)
    np.testing.assert_allclose(Session(halves[0].model).run({"x": x})["y"], run(large, x=x), rtol=1e-5)
    assert gates.same_after_split(*halves, x).value <= 1e-6


def test_no_weight_is_put_into_the_message_for_a_session(halves):
    parts = weights.outlined(halves[0].model)
    assert (parts.lent, len(parts.graph) < 2_000) == ({}, True)


def test_a_half_is_written_with_its_own_weights_only(halves, tmp_path):
    for name, model in (("head", halves[1].head), ("tail", halves[1].tail)):
        (tmp_path / name).mkdir()
        weights.save(model, tmp_path / name / f"{name}.onnx")
    files = {path.name: path.stat().st_size for path in sorted(tmp_path.glob("*/*"))}
    assert list(files) == ["head.onnx", "head.onnx.data", "tail.onnx"]
    assert files["head.onnx.data"] == 192 * 32 * 4
    assert files["tail.onnx"] < 2 * 32 * 32 * 4 + 1_000
    x = np.random.default_rng(1).random((2, 3, 8, 8), dtype=np.float32)
    c = run(tmp_path / "head" / "head.onnx", x=x)
    np.testing.assert_allclose(run(tmp_path / "tail" / "tail.onnx", c=c), run(tmp_path / "large.onnx", x=x), rtol=1e-5)


def test_what_was_set_aside_comes_back_and_is_not_copied(handmade):
    model = handmade["skip"]
    bare, kept = weights.set_aside(model)
    assert not any(name in bare.graph.initializers for name in kept)
    back = weights.put_back(ir.from_proto(ir.to_proto(bare)), kept)
    assert {value.name for value in back.graph.inputs} == {"x"}
    assert all(back.graph.initializers[name].const_value is model.graph.initializers[name].const_value for name in kept)


def test_arrays_are_lent_to_onnxruntime_and_not_copied():
    array = np.ones((64, 64), np.float32)
    x = ir.Value(name="x", shape=ir.Shape([1, 64]), type=ir.TensorType(ir.DataType.FLOAT))
    weight = ir.Value(name="w", const_value=ir.Tensor(array, name="w"), shape=ir.Shape([64, 64]))
    weight.dtype = ir.DataType.FLOAT
    node = ir.node("MatMul", [x, weight])
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[weight], opset_imports={"": 17}, name="n")
    parts = weights.outlined(ir.Model(graph, ir_version=8))
    assert np.shares_memory(parts.lent["w"], array)
    assert len(parts.graph) < array.nbytes
