import pytest

from isthmus.export.cutting import cuts
from isthmus.export.cutting.coded import is_coded

QDQ = """
network (float[batch, 3, 8, 8] x, float measured) => (float[batch, 4] answer)
<float scale = {0.1}, uint8 zero = {7}> {
    first = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    codes = QuantizeLinear (first, scale, zero)
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (codes)
    floats = DequantizeLinear (pooled, scale, zero)
    bytes = Cast <to = 2> (floats)
    again = QuantizeLinear (floats, measured, zero)
    dynamic, dynamic_scale, dynamic_zero = DynamicQuantizeLinear (floats)
    restored = DequantizeLinear (again, measured, zero)
    more = DequantizeLinear (dynamic, dynamic_scale, dynamic_zero)
    other = Cast <to = 1> (bytes)
    sum = Sum (restored, more, other)
    mean = GlobalAveragePool (sum)
    answer = Flatten (mean)
}
"""

QLINEAR = """
network (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] answer)
<float scale = {0.1}, uint8 zero = {128}, int8 zero_weight = {0}> {
    codes = QuantizeLinear (x, scale, zero)
    weight = QuantizeLinear (w1, scale, zero_weight)
    convolved = QLinearConv <pads = [1, 1, 1, 1]> (codes, scale, zero, weight, scale, zero_weight, scale, zero)
    answer = DequantizeLinear (convolved, scale, zero)
}
"""


@pytest.mark.parametrize(
    ("name", "coded"),
    [("codes", True), ("pooled", True), ("first", False), ("bytes", False), ("again", False), ("dynamic", False)],
)
def test_only_tensors_of_a_constant_scale_are_codes(model_of, name, coded):
    values = {value.name: value for node in model_of(QDQ).graph for value in node.outputs}
    assert is_coded(values[name]) is coded


def test_the_output_of_a_quantised_kernel_is_codes(model_of):
    found = cuts.enumerate(model_of(QLINEAR))
    assert [(cut.tensors, cut.codes) for cut in found] == [(("codes",), ("codes",)), (("convolved",), ("convolved",))]


def test_auto_finds_the_codes_of_a_quantised_network(model_of):
    more = """
    weight2 = QuantizeLinear (w2, scale, zero_weight)
    second = QLinearConv <pads = [1, 1, 1, 1]> (convolved, scale, zero, weight2, scale, zero_weight, scale, zero)
    answer = DequantizeLinear (second, scale, zero)
"""
    deeper = QLINEAR.replace("    answer = DequantizeLinear (convolved, scale, zero)\n", more)
    cut = cuts.find(cuts.enumerate(model_of(deeper)), "auto")
    assert (cut.tensors, cut.dtypes, cut.bytes) == (("convolved",), ("UINT8",), 4 * 64)
