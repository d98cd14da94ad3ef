import logging

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from isthmus.export.language import packing


def matrix(rows=12, columns=70, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.ERROR)


def by_onnxruntime(weights, bits):
    """What onnxruntime's own quantiser makes of a matrix: codes and scales."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], [numpy_helper.from_array(np.ascontiguousarray(weights.T), "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    quantizer = MatMulNBitsQuantizer(model, bits=bits, block_size=packing.BLOCK, is_symmetric=True)
    quantizer.process()
    codes, scales = map(numpy_helper.to_array, quantizer.model.model.graph.initializer)
    assert isinstance(quantizer.model.model, onnx.ModelProto)
    return packing.Packed(codes=codes, scales=scales)


def test_eight_bits_are_those_of_onnxruntimes_quantiser():
    weights = matrix(columns=64)
    ours, theirs = packing.pack(weights, 8), by_onnxruntime(weights, 8)
    np.testing.assert_array_equal(ours.scales, theirs.scales)
    np.testing.assert_array_equal(ours.codes, theirs.codes)


def test_four_bits_are_nearer_than_those_of_onnxruntimes_quantiser():
    weights = matrix(64, 256)
    ours, theirs = packing.pack(weights, 4), by_onnxruntime(weights, 4)
    assert (ours.codes.shape, ours.codes.dtype) == (theirs.codes.shape, theirs.codes.dtype)
    errors = [np.square(packing.unpack(packed, 256, 4) - weights).sum(1) for packed in (ours, theirs)]
    assert (errors[0] <= errors[1] * (1 + 1e-5)).all()
    assert errors[0].sum() < 0.97 * errors[1].sum()


@given(st.integers(1, 5), st.integers(1, 100), st.sampled_from([4, 8]), st.integers(0, 1000))
def test_what_is_unpacked_is_within_a_step_of_what_was_packed(rows, columns, bits, seed):
    weights = matrix(rows, columns, seed)
    packed = packing.pack(weights, bits)
    assert packed.codes.shape == packing.shape(rows, columns, bits)
    step = np.repeat(np.abs(packed.scales), packing.BLOCK, axis=1)[:, :columns]
    assert (np.abs(packing.unpack(packed, columns, bits) - weights) <= (1.5 if bits == 4 else 1.001) * step + 1e-7).all()


def test_a_block_of_zeros_stays_zero():
    assert not packing.unpack(packing.pack(np.zeros((2, 64), np.float32), 4), 64, 4).any()


def test_rows_of_an_embedding_have_a_scale_each():
    weights = matrix() * np.arange(12, dtype=np.float32)[:, np.newaxis]
    packed = packing.pack_rows(weights)
    assert (packed.codes.dtype, packed.scales.shape) == (np.int8, (12, 1))
    assert (np.abs(packed.codes * packed.scales - weights) <= packed.scales * 0.501).all()
