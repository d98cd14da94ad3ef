import numpy as np
import onnx
import onnx_ir as ir
import pytest

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.bottlenecks.plain import quantised
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.doors import batch, opening
from isthmus.export.graph import shapes
from isthmus.export.graph.session import Session, relative_difference
from isthmus.export.samples import Samples, prepared

SMALL = Preparation(width=8, height=8)
HALF = """
n (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) {
    h = Cast <to = 10> (x) t = Relu (h) s = Softmax <axis = 1> (t) y = Cast <to = 1> (s)
}
"""
BYTES = """
n (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) {
    q = QuantizeLinear (x, scale, zero) p = MaxPool <kernel_shape = [1, 1]> (q) y = DequantizeLinear (p, scale, zero)
}
"""
UNKNOWN = """
n (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) {
    gain = Constant <value_float = 9.0> () m = Mul (x, gain) t = Cast <to = 2> (m) y = Cast <to = 1> (t)
}
"""
VECTOR = "n (float[batch, 3, 8, 8] x) => (float[batch, 3] y) { p = GlobalAveragePool (x) t = Flatten (p) y = Softmax (t) }"
WITHOUT_BATCH = """
n (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) {
    axes = Constant <value_ints = [0]> () s = Squeeze (x, axes) t = Relu (s) u = Unsqueeze (t, axes) y = Neg (u)
}
"""
WINDOWS = """
n (float[batch, 3, 8, 8] x) => (float[batch, 3, 64] y) {
    pairs = Constant <value_ints = [-1, 3, 32]> () whole = Constant <value_ints = [-1, 3, 64]> ()
    w = Reshape (x, pairs) t = Relu (w) y = Reshape (t, whole)
}
"""


def noise(count):
    pictures = list(np.random.default_rng(2).integers(0, 256, (count, 8, 8, 3), np.uint8))
    return Samples(pictures=pictures, labels=None, names=(), origin="noise")


def at(model, name):
    return split(model, cuts.find(cuts.enumerate(model), name))


def with_grid(text, scale, zero):
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    constants = {"scale": np.float32(scale), "zero": zero}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    model = ir.from_proto(proto)
    opening.tidy(model)
    batch.name_batch(model)
    shapes.infer(model)
    return model


def check_close(model, cut, bits, tolerance):
    """Whole and coded network agree on three pictures, each alone; returns what crosses."""
    halves = at(model, cut)
    coded = assembled(halves, quantised(halves, noise(6), SMALL, bits=bits))
    whole, joined = Session(model), Session(coded.joined())
    for picture in prepared(noise(3).pictures, SMALL):
        want, got = (list(one.run({one.inputs[0]: picture[None]}).values()) for one in (whole, joined))
        assert relative_difference(got, want) <= tolerance
        assert [array.shape for array in got] == [array.shape for array in want]
    head = Session(coded.head)
    codes = head.run({head.inputs[0]: picture[None]})
    coded.boundary.check([codes[tensor.name][0] for tensor in coded.boundary.tensors])
    for side in (coded.head, coded.tail, coded.joined()):
        onnx.checker.check_model(ir.to_proto(side), full_check=True)
    return coded


@pytest.mark.parametrize(
    ("text", "cut", "shape"),
    [
        (HALF, "t", (3, 8, 8)),
        (VECTOR, "t", (3,)),
        (WITHOUT_BATCH, "t", (3, 8, 8)),
        (WINDOWS, "t", (2, 3, 32)),
    ],
    ids=["half precision", "vector", "no batch", "windows"],
)
def test_tensors_of_every_kind_are_quantised(model_of, text, cut, shape):
    model = model_of(text)
    if text is WINDOWS:  # as a door does where inference does not know
        shapes.measure(model, *({"x": np.zeros((rows, 3, 8, 8), np.float32)} for rows in (2, 3)))
    coded = check_close(model, cut, 8, 0.02)
    (tensor,) = coded.boundary.tensors
    assert (tensor.shape, tensor.bits, tensor.signed) == (shape, 8, False)


@pytest.mark.parametrize(("zero", "signed"), [(np.uint8(0), False), (np.uint8(9), False), (np.int8(-3), True)])
@pytest.mark.parametrize("cut", ["q", "p"])
def test_eight_bit_tensors_cross_as_they_are(zero, signed, cut):
    coded = check_close(with_grid(BYTES, 0.01, zero), cut, 8, 0.0)
    assert [(tensor.bits, tensor.signed) for tensor in coded.boundary.tensors] == [(8, signed)]
    assert "DequantizeLinear" not in [node.op_type for node in coded.head.graph]


@pytest.mark.parametrize("zero", [np.uint8(9), np.int8(-3)])
def test_eight_bit_tensors_get_fewer_bits_through_their_scale(zero):
    coded = check_close(with_grid(BYTES, 0.01, zero), "p", 4, 0.08)
    assert [(tensor.bits, tensor.signed) for tensor in coded.boundary.tensors] == [(4, False)]


def test_the_code_zero_is_the_value_zero():
    coded = check_close(with_grid(BYTES, 0.01, np.uint8(9)), "p", 4, 0.08)
    (tensor,) = coded.boundary.tensors
    answer = Session(coded.tail).run({tensor.name: np.zeros((1, *tensor.shape), tensor.dtype)})
    assert not answer["y"].any()


def test_bytes_of_unknown_scale_cross_whole_or_not_at_all(model_of):
    check_close(model_of(UNKNOWN), "t", 8, 0.0)
    halves = at(model_of(UNKNOWN), "t")
    with pytest.raises(ExportError, match="tensor t at the cut holds 8-bit numbers of unknown scale; they can cross as they are"):
        quantised(halves, noise(3), SMALL, bits=4)
