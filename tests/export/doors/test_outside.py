import numpy as np
import onnx
import onnxruntime
import pytest

from isthmus.contract.prepare import prepare
from isthmus.export import preprocessing
from isthmus.export.doors import opening
from isthmus.export.graph.session import Session

FRONT = {11: "s = Unsqueeze <axes = [0]> (x)", 17: "a = Constant <value_ints = [0]> () s = Unsqueeze (x, a)"}
CONVOLVED = "c = Conv <pads = [1, 1, 1, 1]> (s, w1, b1) r = Relu (c)"
ENDS = {
    "squeezed": ("4, 9, 8", {11: "y = Squeeze <axes = [0]> (r)", 17: "y = Squeeze (r, a)"}),
    "indexed": ("4, 9, 8", dict.fromkeys((11, 17), "i = Constant <value = int64 {0}> () y = Gather (r, i)")),
    "flattened": ("288", dict.fromkeys((11, 17), "f = Constant <value = int64[1] {288}> () y = Reshape (r, f)")),
}
NEVER = "n (float[3, 9, 8] x) => (float[3, 9] y) { m = Neg (x) t = Relu (m) y = ReduceMax <axes = [2], keepdims = 0> (t) }"


@pytest.fixture
def opened(tmp_path, proto_of):
    """Write a text as a file; give its source, and a function that runs the file as it is."""

    def open_text(text, opset=17, change=None):
        proto = proto_of(text, opset)
        if change is not None:
            change(proto)
        onnx.save(proto, tmp_path / "model.onnx")
        plain = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        return opening.open_model(str(tmp_path / "model.onnx")), lambda **feeds: plain.run(None, feeds)

    return open_text


def noise(*shape, seed=3):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def batchless(name, version=17):
    shape, end = ENDS[name]
    return f"n (float[3, 9, 8] x) => (float[{shape}] y) {{ {FRONT[version]} {CONVOLVED} {end[version]} }}"


@pytest.mark.parametrize("version", [11, 17])
@pytest.mark.parametrize("name", ENDS)
def test_a_picture_without_a_batch_gets_one(opened, name, version):
    source, plain = opened(batchless(name, version), version)
    x = noise(3, 9, 8)
    np.testing.assert_allclose(Session(source.model).run({"x": x[None]})["y"][0], plain(x=x)[0], rtol=1e-5, atol=1e-6)
    assert source.dynamic_batch == source.has_batch == (name != "flattened")
    assert [value.name for value in (*source.model.graph.inputs, *source.model.graph.outputs)] == ["x", "y"]


def test_a_freed_picture_is_right_for_several(opened):
    source, plain = opened(batchless("indexed"))
    several = noise(3, 3, 9, 8)
    together = Session(source.model).run({"x": several})["y"]
    np.testing.assert_allclose(together, np.stack([plain(x=row)[0] for row in several]), rtol=1e-5, atol=1e-6)


def test_what_has_no_batch_inside_says_so_in_its_shapes(opened):
    source, _plain = opened(NEVER)
    assert (source.dynamic_batch, source.has_batch) == (False, False)
    assert list(source.model.graph.inputs[0].shape) == [1, 3, 9, 8]
    assert source.example_inputs[0].shape == (1, 3, 9, 8)
    assert [list(node.outputs[0].shape) for node in source.model.graph if node.op_type == "Relu"] == [[3, 9, 8]]


@pytest.mark.parametrize(
    "text",
    [
        "n (float[1, 80, 30] x) => (float[1, 80, 30] y) { t = Relu (x) y = Softmax <axis = 0> (t) }",
        "n (float[3, 4, 30] x) => (float[3, 4, 30] y) { t = Relu (x) y = Softmax <axis = 0> (t) }",
        "n (float[16, 9, 8] x) => (float[16, 9, 8] y) { t = Relu (x) y = Softmax <axis = 0> (t) }",
    ],
)
def test_sequences_and_points_are_not_taken_for_pictures(opened, text):
    source, _plain = opened(text)
    assert source.has_batch
    assert len(source.model.graph.inputs[0].shape) == 3


@pytest.mark.parametrize("kind", ["float16", "double", "uint8", "int32"])
def test_pictures_go_in_as_float32_whatever_the_file_takes(opened, kind):
    text = (
        f"n ({kind}[batch, 3, 5, 7] x) => (float[batch, 3] y) {{ c = Cast <to = 1> (x) p = GlobalMaxPool (c) y = Flatten (p) }}"
    )
    source, plain = opened(text)
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 5, 7))
    answer = Session(source.model).run({"x": x.astype(np.float32)})["y"]
    np.testing.assert_array_equal(answer, plain(x=x.astype({"double": np.float64}.get(kind, kind)))[0])
    assert source.dynamic_batch


def test_half_precision_inside_comes_out_as_float32(opened):
    text = "n (float16[batch, 4] x) => (float16[batch, 4] y, float16[batch, 4] t) { t = Exp (x) y = Neg (t) }"
    source, plain = opened(text)
    x = noise(2, 4)
    answers = Session(source.model).run({"x": x})
    assert list(answers) == ["y", "t"]
    for name, want in zip(answers, plain(x=x.astype(np.float16)), strict=True):
        assert answers[name].dtype == np.float32
        np.testing.assert_allclose(answers[name], want.astype(np.float32), rtol=1e-3)


def test_integers_that_are_no_picture_stay_integers(opened):
    source, _plain = opened("n (int64[batch, 6] ids) => (int64[batch, 6] y) { t = Neg (ids) y = Abs (t) }")
    assert source.model.graph.inputs[0].dtype.name == "INT64"
    assert source.example_inputs[0].dtype == np.int64


@pytest.mark.parametrize(("shape", "layout"), [("batch, 6, 8, 3", "nhwc"), ("batch, 1, 6, 8", "nchw")])
def test_a_picture_of_bytes_is_prepared_as_bytes(opened, shape, layout):
    source, _plain = opened(f"n (uint8[{shape}] x) => (float[{shape}] y) {{ c = Cast <to = 1> (x) y = Neg (c) }}")
    chosen = preprocessing.choose(None, source.model, suggested=source.preparation)
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    values = prepare(picture, chosen)
    assert (chosen.layout, chosen.scale) == (layout, 1.0)
    np.testing.assert_array_equal(values, values.round())
    assert values.max() > 200
