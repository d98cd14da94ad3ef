import numpy as np
import onnx
import onnxruntime
import pytest

from isthmus.export.doors import opening
from isthmus.export.graph.session import Session

BAKED = {
    "flat": """n (float[1, 3, 4, 4] x) => (float[a, b] y) {
        s = Constant <value_ints = [1, 48]> () t = Neg (x) y = Reshape (t, s)
    }""",
    "rest": """n (float[1, 4, 2, 2] x) => (float[a, b, c] y) {
        s = Constant <value_ints = [1, 4, -1]> () t = Neg (x) y = Reshape (t, s)
    }""",
    "shuffle": """n (float[1, 4, 2, 2] x) => (float[a, b, c, d] y) {
        s = Constant <value_ints = [2, 2, 4]> () t = Constant <value_ints = [2, 1, 2, 2, 2]> () i = Constant <value_int = 1> ()
        m = Reshape (x, s) p = Transpose <perm = [1, 0, 2]> (m) h = Reshape (p, t) y = Gather (h, i)
    }""",
    "windows": """n (float[1, 4, 4, 3] x) => (float[a, b, c, d] y) {
        s = Constant <value_ints = [1, 2, 2, 2, 2, 3]> () w = Constant <value_ints = [4, 4, 3]> ()
        r = Constant <value_ints = [1, 2, 2, 2, 2, 3]> () f = Constant <value_ints = [1, 4, 4, 3]> ()
        a1 = Reshape (x, s) a2 = Transpose <perm = [0, 1, 3, 2, 4, 5]> (a1) a3 = Reshape (a2, w) a4 = Softmax <axis = 1> (a3)
        a5 = Reshape (a4, r) a6 = Transpose <perm = [0, 1, 3, 2, 4, 5]> (a5) y = Reshape (a6, f)
    }""",
    "token": """n (float[1, 5, 4] x) => (float[a, b, c] y) {
        k = Constant <value = float[1, 1, 4] {1.0, 2.0, 3.0, 4.0}> () j = Concat <axis = 1> (k, x) y = Neg (j)
    }""",
    "time": """n (float[1, 5, 4] x) => (float[a, b, c] y) {
        s = Constant <value_ints = [5, 1, 4]> () b1 = Constant <value_ints = [1, 5, 4]> () p = Transpose <perm = [1, 0, 2]> (x)
        r = Reshape (p, s) q = Transpose <perm = [1, 0, 2]> (r) y = Reshape (q, b1)
    }""",
}  # fmt: skip


@pytest.fixture
def opened(tmp_path):
    """Write a text as a file; give its source, and the file run as it is."""

    def open_text(text):
        onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), tmp_path / "model.onnx")
        plain = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        return opening.open_model(str(tmp_path / "model.onnx")), lambda x: plain.run(["y"], {"x": x})[0]

    return open_text


@pytest.mark.parametrize("name", BAKED)
def test_a_baked_batch_is_freed_and_every_row_is_right(opened, name):
    source, plain = opened(BAKED[name])
    assert source.dynamic_batch
    shape = [size for size in source.model.graph.inputs[0].shape if isinstance(size, int)]
    x = np.random.default_rng(5).normal(size=(3, *shape)).astype(np.float32)
    together = Session(source.model).run({"x": x})["y"]
    np.testing.assert_allclose(together, np.concatenate([plain(row[None]) for row in x]), rtol=1e-5, atol=1e-6)


def test_rows_that_mix_are_not_freed(opened):
    reshaped = "s = Constant <value_ints = [2, 2]> () r = Reshape (x, s)"
    text = f"n (float[1, 4] x) => (float[a, b] y) {{ {reshaped} y = Softmax <axis = 0> (r) }}"
    source, plain = opened(text)
    assert not source.dynamic_batch
    x = np.random.default_rng(5).random((1, 4), dtype=np.float32)
    np.testing.assert_allclose(Session(source.model).run({"x": x})["y"], plain(x), rtol=1e-6)
