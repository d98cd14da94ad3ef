from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import onnxruntime
import pytest

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import pca, plain
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session
from isthmus.export.int8 import qdq
from isthmus.export.samples import Samples, prepared
from isthmus.export.targets import tensorrt

LARGER = Preparation(width=16, height=16)


def pictures_of(count, side=16):
    smooth = np.random.default_rng(2).integers(0, 256, (count, 4, 4, 3), np.uint8).repeat(side // 4, 1).repeat(side // 4, 2)
    return Samples(pictures=list(smooth), labels=None, names=(), origin="blocks")


SAMPLES = pictures_of(24)


def coded_at(model, cut, *, bits=4, channels=None):
    halves = split(model, cuts.find(cuts.enumerate(model), cut))
    if channels is None:
        return assembled(halves, plain.quantised(halves, SAMPLES, LARGER, bits=bits))
    return assembled(halves, pca.projected(halves, SAMPLES, LARGER, channels=channels, bits=bits))


def int8_of(coded, kind="uint8"):
    return qdq.applied(qdq.plan(coded.head, (one[None] for one in prepared(SAMPLES.pictures, LARGER))), coded.boundary, kind)


def fused(model, folder):
    """What onnxruntime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "fused.onnx")
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "fused.onnx").graph.node)


def constant_of(value):
    return ir.convenience.get_const_tensor(value).numpy()


@pytest.fixture(scope="module")
def projected(residual_source):
    return coded_at(residual_source.model, "add_30", channels=4)


@pytest.mark.parametrize("cut", ["relu", "add_30", "cat", "relu6", "mean"])
@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_an_int8_head_gives_nearly_the_codes_of_the_float_head(residual_source, cut, kind):
    coded = coded_at(residual_source.model, cut)
    model = int8_of(coded, kind)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    float_head, int8_head = Session(coded.head), Session(model)
    frames = prepared(SAMPLES.pictures, LARGER)
    wanted, found = (head.run({head.inputs[0]: frames}) for head in (float_head, int8_head))
    for tensor in coded.boundary.tensors:
        codes = found[tensor.name]
        coded.boundary.check([found[one.name][0] for one in coded.boundary.tensors])
        assert (codes != wanted[tensor.name]).mean() < 0.25
        assert np.abs(codes.astype(int) - wanted[tensor.name]).max() <= 2


def test_the_wires_quantiser_is_that_of_the_last_convolution(projected, tmp_path):
    found = fused(int8_of(projected), tmp_path)
    assert "Conv" not in found
    assert "FusedConv" not in found
    assert "Round" not in found
    # The picture goes in once, and nothing between the last kernel and the codes quantises again.
    assert found["QuantizeLinear"] <= 3
    last = [node for node in int8_of(projected).graph if node.op_type == "QuantizeLinear"][-1]
    assert constant_of(last.inputs[1]) == 1.0
    assert last.inputs[0].producer().op_type == "Conv"


@pytest.mark.parametrize(
    ("bits", "cut", "kind", "grid"),
    [
        (8, "add_30", "int8", ("int8", 0)),
        (4, "add_30", "int8", ("int8", 0)),
        (4, "add_30", "uint8", ("uint8", 128)),
        (8, "relu", "uint8", ("uint8", 0)),
        (7, "relu", "int8", ("int8", 0)),
    ],
)
def test_the_wire_has_scale_one_and_the_code_zero_for_zero(residual_source, bits, cut, kind, grid):
    model = int8_of(coded_at(residual_source.model, cut, bits=bits), kind)
    pairs = [[constant_of(value) for value in node.inputs[1:]] for node in model.graph if node.op_type == "QuantizeLinear"]
    assert grid in {(zero.dtype.name, int(zero)) for scale, zero in pairs if scale == 1.0}


def test_eight_bit_unsigned_codes_keep_their_round_where_no_grid_holds_them(residual_source):
    model = int8_of(coded_at(residual_source.model, "relu", bits=8), "int8")
    assert "Round" in [node.op_type for node in model.graph]


def test_the_kind_for_tensorrt_is_what_tensorrt_takes(projected):
    assert tensorrt.findings(tensorrt.adapted(int8_of(projected, "int8"))) == []
    assert tensorrt.findings(tensorrt.adapted(int8_of(projected, "uint8"))) != []


def test_int8_activations_have_the_zero_point_zero_everywhere(projected):
    for node in int8_of(projected, "int8").graph:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            assert not constant_of(node.inputs[2]).any()


def test_weights_have_a_scale_for_each_output_channel(projected):
    scales = {}
    for node in int8_of(projected).graph:
        if node.op_type == "Conv":
            weights = node.inputs[1].producer()
            codes, scale = map(constant_of, weights.inputs[:2])
            scales[node.name] = scale
            assert (codes.dtype, scale.shape) == (np.int8, codes.shape[:1])
    assert len(scales) == 5  # three of the network, and the projections of the two tensors that cross


def test_a_channel_without_weights_keeps_its_bias(model_of):
    model = model_of(
        "n (float[batch, 3, 16, 16] x) => (float[batch, 4, 16, 16] y) "
        "{ t = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) r = Relu (t) y = Neg (r) }"
    )
    weights, bias = (model.graph.initializers[name] for name in ("w1", "b1"))
    array = weights.const_value.numpy().copy()
    array[1] = 0
    weights.const_value = ir.tensor(array, name="w1")
    bias.const_value = ir.tensor(np.array([1, 5, 1, 1], np.float32), name="b1")
    coded = coded_at(model, "r", bits=8)
    head = Session(int8_of(coded))
    codes = head.run({"x": prepared(SAMPLES.pictures[:1], LARGER)})["codes_0"]
    assert (codes[0, 1] >= 254).all()


PRODUCTS = """
<ir_version: 8, opset_import: ["" : %d]>
n (float[batch, 3, 16, 16] x) => (float[batch, 3, 16, 8] y) {
    m = MatMul (x, p) t = Add (m, o) g = Sigmoid (t) k = MatMul (g, q) y = Relu (k)
}
"""


def products(opset=17):
    proto = onnx.parser.parse_model(PRODUCTS % opset)
    random = np.random.default_rng(3)
    for name, shape in (("p", (16, 12)), ("o", (12,)), ("q", (12, 8))):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name))
    return passes.ShapeInferencePass()(ir.from_proto(proto)).model


def test_matrix_products_are_quantised_and_what_is_between_is_not(tmp_path):
    coded = coded_at(products(), "k")
    found = fused(int8_of(coded), tmp_path)
    assert "MatMul" not in found
    assert found["Sigmoid"] == 1
    assert found["QuantizeLinear"] <= 3


def test_what_only_moves_values_keeps_their_grid(model_of):
    model = model_of(
        "n (float[batch, 3, 16, 16] x) => (float[batch, 4, 6, 6] y) { c = Conv (x, w1, b1) r = Relu (c) "
        "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r) d = Conv <pads = [1, 1, 1, 1]> (p, w2, b2) "
        "t = Relu (d) s = Conv <pads = [0, 0, 0, 0]> (t, w2, b2) y = Sigmoid (s) }"
    )
    values = ir.convenience.create_value_mapping(int8_of(coded_at(model, "s")).graph)
    assert values["r_scale"].const_value.numpy() == values["p_scale"].const_value.numpy()


def test_the_float_head_stays_as_it_is(projected):
    before = ir.to_proto(projected.head).SerializeToString()
    int8_of(projected)
    assert ir.to_proto(projected.head).SerializeToString() == before


def test_only_domains_that_are_used_are_imported(projected):
    assert dict(int8_of(projected).opset_imports) == {"": 17}


@pytest.mark.parametrize("kind", ["QuantizeLinear", "QLinearConv", "ConvInteger"])
def test_a_network_that_came_in_quantised_is_known(projected, kind):
    assert not qdq.is_quantised(projected.head)
    graph = ir.Graph([], [], nodes=[ir.node(kind, [])], opset_imports={"": 17})
    assert qdq.is_quantised(ir.Model(graph, ir_version=8))


def test_an_opset_without_grids_by_channel_is_refused():
    with pytest.raises(ExportError, match="opset 12 has no grids by channel, 13 has"):
        int8_of(coded_at(products(12), "k"))


def test_a_head_without_layers_is_refused(model_of):
    model = model_of("n (float[batch, 3, 16, 16] x) => (float[batch, 3, 16, 16] y) { t = Relu (x) y = Neg (t) }")
    with pytest.raises(ExportError, match="the head has no float32 convolution or matrix product with constant weights"):
        int8_of(coded_at(model, "t"))
