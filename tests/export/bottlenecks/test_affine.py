import numpy as np
import onnx
import onnx_ir as ir
import pytest

from isthmus.export.bottlenecks import affine
from isthmus.export.bottlenecks.affine import Affine

QUANTISED = """
n (float[batch, 4, 8, 8] x) => (float[batch, 4, 4, 4] y) {
    q = QuantizeLinear (x, s, z)
    p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (q)
    y = DequantizeLinear (p, s, z)
}
"""


def quantised(zero_point):
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{QUANTISED}')
    constants = {"s": np.float32(0.5), "z": zero_point}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    return ir.convenience.create_value_mapping(ir.from_proto(proto).graph)


@pytest.mark.parametrize("name", ["q", "p"])
def test_scale_and_zero_point_are_found_at_the_producer(name):
    values = quantised(np.uint8(7))
    alone = ir.Value(name=name)
    assert affine.find(values[name], alone) == Affine(scale=np.float32(0.5), zero_point=7)


def test_they_are_found_at_the_reader_where_the_producer_does_not_tell():
    values = quantised(np.int8(-3))
    assert affine.find(ir.Value(name="p"), values["p"]) == Affine(scale=np.float32(0.5), zero_point=-3)


def test_a_tensor_without_either_has_none():
    assert affine.find(ir.Value(name="p"), ir.Value(name="p")) is None


def test_codes_become_values_without_wrapping():
    found = Affine(scale=np.float32(0.5), zero_point=200).dequantize(np.array([0, 200, 255], np.uint8))
    np.testing.assert_array_equal(found, np.array([-100, 0, 27.5], np.float32))
