import numpy as np
import onnx_ir as ir
import pytest

from isthmus.errors import ExportError
from isthmus.export.graph.session import Session
from isthmus.export.targets import tensorrt

SYMMETRIC = """
n (float[batch, 3, 8, 8] x) => (int8[batch, 4, 8, 8] codes)
<float step = {0.05}, int8 zero = {0}, float[4] steps = {0.1, 0.2, 0.3, 0.4}, int8[4] zeros = {0, 0, 0, 0}> {
    a = QuantizeLinear (x, step, zero)
    b = DequantizeLinear (a, step, zero)
    narrow = QuantizeLinear <axis = 0> (w1, steps, zeros)
    weight = DequantizeLinear <axis = 0> (narrow, steps, zeros)
    y = Conv <pads = [1, 1, 1, 1]> (b, weight, b1)
    codes = QuantizeLinear (y, step, zero)
}
"""

CAST_CODES = """
n (float[batch, 4] x) => (int8[batch, 4] codes) <float low = {-8.0}, float high = {7.0}> {
    r = Round (x)
    c = Clip (r, low, high)
    codes = Cast <to = 3> (c)
}
"""

CODES_BACK = "n (int8[batch, 4] codes) => (float[batch, 4] y) { f = Cast <to = 1> (codes) y = Exp (f) }"


def found(model):
    return [(finding.operator, finding.reason) for finding in tensorrt.findings(model)]


def test_symmetric_int8_with_per_channel_weights_passes(model_of):
    model = model_of(SYMMETRIC)
    assert found(model) == []
    assert tensorrt.check({"head.onnx": model}).detail == "head.onnx; list of TensorRT 10.15"


def test_a_zero_point_other_than_zero_is_found_at_every_node(model_of):
    nodes = [
        (finding.node, finding.reason) for finding in tensorrt.findings(model_of(SYMMETRIC.replace("zero = {0}", "zero = {3}")))
    ]
    assert nodes == [(name, "the zero point must be 0, here it is 3") for name in ("node", "node_1", "node_5")]


def test_unsigned_codes_are_found(model_of):
    unsigned = SYMMETRIC.replace("int8 zero = {0}", "uint8 zero = {0}").replace("int8[batch", "uint8[batch")
    assert ("QuantizeLinear", "codes are UINT8, only INT8 is supported, use symmetric int8") in found(model_of(unsigned))
    assert any(operator == "output" and "goes with Cast only" in reason for operator, reason in found(model_of(unsigned)))


def test_an_activation_that_is_quantised_per_channel_is_found(model_of):
    text = SYMMETRIC.replace("QuantizeLinear (y, step, zero)", "QuantizeLinear <axis = 1> (y, steps, zeros)")
    assert found(model_of(text)) == [("QuantizeLinear", "an activation has one scale, here 4; per channel is for weights")]


def test_a_scale_that_is_computed_is_found(model_of):
    text = """n (float[batch, 4] x) => (float[batch, 4] y) {
        c, s, z = DynamicQuantizeLinear (x)
        y = DequantizeLinear (c, s, z)
    }"""
    told = dict(tensorrt.findings(model_of(text))[index].__str__().split(": ", 1) for index in range(2))
    assert list(told) == ["DynamicQuantizeLinear 'node'", "DequantizeLinear 'node_1'"]
    reasons = [reason for _, reason in found(model_of(text))]
    assert "the scale must be a constant, here it is computed" in reasons
    assert "the zero point must be a constant 0, here it is computed" in reasons


def test_a_bias_of_32_bit_codes_is_found(model_of):
    text = """n (float[batch, 4] x) => (float[batch, 4] y) <int32[4] bias = {1, 2, 3, 4}, float step = {0.1}> {
        b = DequantizeLinear (bias, step)
        y = Add (x, b)
    }"""
    assert found(model_of(text)) == [("DequantizeLinear", "codes are INT32, only INT8 is supported, keep the bias in floats")]


def test_double_precision_is_found_inside_and_at_the_input(model_of):
    text = (
        "n (double[batch, 4] x, float[batch, 4] z) => (float[batch, 4] y) { d = Sqrt (x) f = Cast <to = 1> (d) y = Add (f, z) }"
    )
    assert ("input", "type DOUBLE is not supported there") in found(model_of(text))
    assert ("Sqrt", "'d' is DOUBLE, which is not supported inside a network") in found(model_of(text))


def test_operators_outside_the_list_are_found_in_branches_too(model_of):
    text = """n (float[batch, 4] x, bool c) => (float[batch, k] y) {
        y = If (c) <
            then_branch = yes () => (float[batch, k] a) { a = Det (x) },
            else_branch = no () => (float[batch, k] b) { b = Hardmax (x) }
        >
    }"""
    assert found(model_of(text)) == [("Det", "is not in the list")]


def test_operators_of_onnxruntime_are_found():
    x = ir.Value(name="x", shape=ir.Shape(["batch", 4]), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("FastGelu", [x], domain="com.microsoft", name="gelu")
    model = ir.Model(ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 17, "com.microsoft": 1}), ir_version=8)
    (finding,) = tensorrt.findings(model)
    assert str(finding) == "FastGelu 'gelu': is of domain com.microsoft, only standard operators are in the list"


def test_an_opset_that_is_too_new_is_found(model_of):
    model = model_of("n (float[batch, 4] x) => (float[batch, 4] y) { y = Relu (x) }")
    model.graph.opset_imports[""] = 25
    assert found(model) == [("model", "opset 25, TensorRT 10.15 takes 9 to 24")]


def test_the_message_names_a_few_findings_and_counts_the_rest(model_of):
    text = (
        "n (float[batch, 4, 4] x) => (float[batch] y) { "
        + " ".join(f"y{n} = Det (x)" for n in range(6))
        + " y = Sum (y0, y1, y2, y3, y4, y5) }"
    )
    with pytest.raises(ExportError, match=r"would not take the networks: head, Det 'node': is not in the list; .*; and 2 more$"):
        tensorrt.check({"head": model_of(text)})


def test_signed_codes_that_are_cast_are_found_and_adapted_without_a_change(model_of):
    head, tail = model_of(CAST_CODES), model_of(CODES_BACK)
    assert [operator for operator, _ in found(head) + found(tail)] == ["output", "input"]
    fit_head, fit_tail = tensorrt.adapted(head), tensorrt.adapted(tail)
    assert found(fit_head) + found(fit_tail) == []
    x = np.linspace(-12, 12, 64, dtype=np.float32).reshape(16, 4)
    codes = Session(head).run({"x": x})
    np.testing.assert_array_equal(Session(fit_head).run({"x": x})["codes"], codes["codes"])
    np.testing.assert_array_equal(Session(fit_tail).run(codes)["y"], Session(tail).run(codes)["y"])


def test_unsigned_codes_that_are_cast_stay_and_pass(model_of):
    head = model_of(CAST_CODES.replace("int8[", "uint8[").replace("to = 3", "to = 2").replace("-8.0", "0.0"))
    assert found(head) == []
    assert [node.op_type for node in tensorrt.adapted(head).graph] == ["Round", "Clip", "Cast"]


def test_the_model_that_is_adapted_stays_as_it_was(model_of):
    head = model_of(CAST_CODES)
    tensorrt.adapted(head)
    assert [node.op_type for node in head.graph] == ["Round", "Clip", "Cast"]


def test_files_are_checked_with_the_types_that_inference_finds(tiny_bundle):
    with pytest.raises(ExportError, match=r"head\.onnx, output 'codes': INT8 at an output goes with QuantizeLinear only"):
        tensorrt.check_files({"head.onnx": tiny_bundle.path("head.onnx")})


def test_a_file_that_is_no_network_is_named(tmp_path):
    (tmp_path / "head.onnx").write_bytes(b"nothing")
    with pytest.raises(ExportError, match=r"head\.onnx is not an ONNX file"):
        tensorrt.check_files({"head.onnx": tmp_path / "head.onnx"})
