import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from isthmus.contract.boundary import CodeTensor
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import halves, layout, plain
from isthmus.export.bottlenecks.convolutional import round_straight_through
from isthmus.export.bottlenecks.quantizer import Quantizer, calibrate
from isthmus.export.graph.session import Session

# A deadline is a wall-clock assertion.
quick = settings(max_examples=60)
SCALES = np.array([0.25, 1.0, 3.0], np.float32)
HALVES = some.integers(-600, 600).map(lambda number: number / 2)
"""Values on and between rounding boundaries, in code units; some beyond every range."""
UNITS = arrays(np.float32, (2, 3, 4), elements=HALVES | some.floats(-300, 300, width=32))


def made(bits, signed, scale=SCALES):
    return Quantizer(scale=scale, bits=bits, signed=signed)


def tensor_of(shape):
    value = ir.Value(name="values", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["batch", *shape]))
    return layout.of(value, value)


def as_onnx(chosen, shape):
    one = plain.scaled(tensor_of(shape), chosen, opset=17)
    return Session(halves.with_rounding(one, "codes")), Session(halves.with_cast(one, "codes"))


SESSIONS = {(bits, signed): as_onnx(made(bits, signed), (3, 4)) for bits in range(1, 9) for signed in (True, False)}


@quick
@given(units=UNITS, bits=some.integers(1, 8), signed=some.booleans())
def test_numpy_torch_and_onnx_agree_code_for_code(units, bits, signed):
    chosen = made(bits, signed)
    values = units * SCALES[:, None]
    codes = chosen.quantize(values)
    into, back = SESSIONS[bits, signed]
    in_onnx = into.run({"values": values})["codes"]
    scaled = torch.from_numpy(values * (np.float32(1) / SCALES)[:, None])
    np.testing.assert_array_equal(in_onnx, codes)
    np.testing.assert_array_equal(round_straight_through(scaled, *chosen.code_range).numpy(), codes)
    assert in_onnx.dtype == codes.dtype
    np.testing.assert_array_equal(back.run({"codes": codes})["values"], chosen.dequantize(codes))


@quick
@given(units=UNITS, bits=some.integers(1, 8), signed=some.booleans())
def test_inside_the_range_half_a_step_is_lost_at_most(units, bits, signed):
    chosen = made(bits, signed)
    values = np.clip(units, *chosen.code_range) * SCALES[:, None]
    lost = np.abs(chosen.dequantize(chosen.quantize(values)) - values)
    assert (lost <= SCALES[:, None] * 0.5001).all()


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [True, False])
def test_every_code_survives_and_fits_the_boundary(bits, signed):
    chosen = made(bits, signed)
    low, high = chosen.code_range
    codes = np.broadcast_to(np.arange(low, high + 1), (1, 3, high - low + 1)).astype(np.int8 if signed else np.uint8)
    tensor = CodeTensor(name="codes", shape=codes.shape[1:], bits=bits, signed=signed)
    assert (tensor.lowest, tensor.highest, tensor.dtype) == (low, high, codes.dtype)
    np.testing.assert_array_equal(chosen.quantize(chosen.dequantize(codes)), codes)


def test_ties_go_to_the_even_code():
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], np.float32).reshape(1, 1, 6)
    assert made(4, True, np.ones(1, np.float32)).quantize(values).ravel().tolist() == [0, 2, 2, 0, -2, -2]


def test_the_models_keep_a_free_batch_and_their_opset():
    model = halves.with_rounding(plain.scaled(tensor_of((3, 4)), made(4, True), opset=13), "codes")
    assert model.opset_imports[""] == 13
    assert Session(model).run({"values": np.zeros((5, 3, 4), np.float32)})["codes"].shape == (5, 3, 4)
    assert model.graph.outputs[0].dtype == ir.DataType.INT8


def tailed(channels=4, signed=True):
    """Values with rare large ones, every channel ten times as wide as the one before."""
    values = np.random.default_rng(3).laplace(size=(64, channels, 5, 5)) * 10.0 ** np.arange(channels)[:, None, None]
    return (values if signed else np.abs(values)).astype(np.float32)


def squared_error(chosen, values):
    return ((chosen.dequantize(chosen.quantize(values)) - values).astype(np.float64) ** 2).mean(axis=(0, 2, 3))


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_calibration_loses_less_than_scaling_to_the_largest_value(bits, signed):
    values = tailed(signed=signed)
    chosen = calibrate(values, bits)
    steps = chosen.code_range[1]
    largest = made(bits, signed, (np.abs(values).max(axis=(0, 2, 3)) / steps).astype(np.float32))
    assert (squared_error(chosen, values) < 0.9 * squared_error(largest, values)).all()


def test_calibration_scales_every_channel_for_itself():
    scale = calibrate(tailed(), 4).scale
    assert scale[1:] / scale[:-1] == pytest.approx([10, 10, 10], rel=0.3)


def test_codes_are_unsigned_where_nothing_is_negative():
    assert calibrate(tailed(signed=False), 4).code_range == (0, 15)
    assert calibrate(tailed(), 4).code_range == (-8, 7)


def test_a_channel_of_zeros_stays_zero():
    values = tailed()
    values[:, 2] = 0
    chosen = calibrate(values, 4)
    assert np.isfinite(chosen.scale).all()
    assert (chosen.scale > 0).all()
    assert not chosen.quantize(values)[:, 2].any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(wrong):
    values = tailed()
    values[3, 2, 1, 0] = wrong
    with pytest.raises(ExportError, match="values that are not finite; cut elsewhere"):
        calibrate(values, 4)


@pytest.mark.parametrize("bits", [0, 9])
def test_other_numbers_of_bits_are_refused(bits):
    with pytest.raises(ExportError, match=f"1 to 8 bits, got {bits}"):
        calibrate(tailed(), bits)
