import numpy as np
import onnx
import onnx_ir as ir
import pytest

from isthmus.export.bottlenecks.folding import fold_scales
from isthmus.export.graph.session import Session, relative_difference

RANDOM = np.random.default_rng(4)
CONSTANTS = {
    "w": RANDOM.normal(size=(4, 3, 3, 3)),
    "b": RANDOM.normal(size=4),
    "v": RANDOM.normal(size=(4, 3)),
    "k": np.array([0.5, 2.0, 3.0, 0.1]).reshape(1, 4, 1, 1),
    "minus": np.array([0.5, -2.0, 3.0, 0.1]).reshape(1, 4, 1, 1),
    "row": np.array([0.5, 2.0, 3.0, 0.1]).reshape(1, 4),
    "zero": np.float32(0),
    "six": np.float32(6),
    "fewer": np.float32(0.5),
    "more": np.float32(15),
}
PICTURE, MAP = "float[batch, 3, 4, 4] x", "float[batch, 4, 4, 4] y"
CONVOLVED = "c = Conv <pads = [1, 1, 1, 1]> (x, w, b)"


def network(body, takes=PICTURE, gives=MAP):
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> n ({takes}) => ({gives}) {{ {body} }}')
    read = {name for node in proto.graph.node for name in node.input}
    arrays = {name: np.asarray(value, np.float32) for name, value in CONSTANTS.items() if name in read}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in arrays.items())
    return ir.from_proto(proto)


def check_equal(before, after, shape=(2, 3, 4, 4)):
    array = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    want, got = (list(Session(model).run({"x": array}).values()) for model in (before, after))
    assert relative_difference(got, want) < 1e-6
    onnx.checker.check_model(ir.to_proto(after), full_check=True)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (f"{CONVOLVED} m = Mul (c, k) y = Neg (m)", ["Conv", "Neg"]),
        (f"{CONVOLVED} r = Relu (c) m = Mul (r, k) y = Round (m)", ["Conv", "Relu", "Round"]),
        ("c = Conv <pads = [1, 1, 1, 1]> (x, w) m = Mul (c, minus) y = Neg (m)", ["Conv", "Neg"]),
        (
            f"{CONVOLVED} r = Clip (c, zero, six) m = Mul (r, k) o = Round (m) y = Clip (o, zero, fewer)",
            ["Conv", "Round", "Clip"],
        ),
    ],
)
def test_a_factor_by_channel_goes_into_the_convolution(body, left):
    before, after = network(body), network(body)
    assert fold_scales(after)
    assert [node.op_type for node in after.graph] == left
    check_equal(before, after)


@pytest.mark.parametrize("product", ["Gemm (x, t, b)", "Gemm <transB = 1> (x, v, b)"])
def test_a_factor_goes_into_a_matrix_product(product):
    CONSTANTS["t"] = CONSTANTS["v"].T
    body = f"c = {product} m = Mul (c, row) y = Neg (m)"
    before, after = (network(body, "float[batch, 3] x", "float[batch, 4] y") for _ in range(2))
    assert fold_scales(after)
    assert [node.op_type for node in after.graph] == ["Gemm", "Neg"]
    check_equal(before, after, (2, 3))


@pytest.mark.parametrize(
    "body",
    [
        f"{CONVOLVED} r = Relu (c) m = Mul (r, minus) y = Neg (m)",
        f"{CONVOLVED} m = Mul (c, k) y = Add (m, c)",
        f"{CONVOLVED} m = Mul (c, row) y = Neg (m)",
        f"{CONVOLVED} y = Mul (c, k)",
        f"{CONVOLVED} r = Clip (c, zero, six) m = Mul (r, k) o = Round (m) y = Clip (o, zero, more)",
        f"{CONVOLVED} r = Clip (c, zero, six) m = Mul (r, k) y = Round (m)",
        "r = Relu (x) m = Mul (r, six) y = Conv <pads = [1, 1, 1, 1]> (m, w, b)",
        "p = Conv <pads = [1, 1, 1, 1]> (x, w) c = Add (p, k) m = Mul (c, k) y = Neg (m)",
    ],
    ids=["negative behind relu", "also read elsewhere", "along the rows", "an output", "loose clip", "no codes", "scalar", "add"],
)
def test_other_factors_stay(body):
    before, after = network(body), network(body)
    assert not fold_scales(after)
    assert [node.op_type for node in after.graph] == [node.op_type for node in before.graph]


def test_shared_weights_stay_as_they_are():
    body = f"{CONVOLVED} m = Mul (c, k) d = Conv <pads = [1, 1, 1, 1]> (x, w, b) y = Add (m, d)"
    before, after = network(body), network(body)
    assert not fold_scales(after)
    check_equal(before, after)
