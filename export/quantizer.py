"""The quantiser at the boundary: code = clip(round(value / scale)), value = code x scale; symmetric, zero point 0, per channel.

Rounding is half to even in numpy, torch and ONNX alike, so the three agree. Signed codes of b bits span -2^(b-1) .. 2^(b-1)-1;
where a tensor is never negative (behind a ReLU), unsigned codes 0 .. 2^b-1 give it one bit more for the same rate.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from isthmus.contract.boundary import CodeTensor
from isthmus.errors import ExportError

_CLIP_RATIOS = np.linspace(0.3, 1.0, 29)
"""Tried parts of a channel's largest magnitude; the one of least squared error wins (as in OCTAV-style calibration)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantizer:
    """Scales and code range of one boundary tensor.

    Attributes:
        scale: float32[channel], positive: the value of one step.
        bits: 1 to 8.
        signed: whether codes can be negative.
    """

    scale: np.ndarray
    bits: int
    signed: bool

    def tensor(self, name: str, shape: tuple[int, ...]) -> CodeTensor:
        """The boundary tensor this quantiser makes; `shape` without the batch axis."""
        return CodeTensor(name=name, shape=shape, bits=self.bits, signed=self.signed)

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        lowest = -(1 << (self.bits - 1)) if self.signed else 0
        return lowest, lowest + (1 << self.bits) - 1

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """int8 or uint8 codes of float[batch, channel, ...] values."""
        low, high = self.code_range
        codes: np.ndarray = np.clip(np.round(values * (np.float32(1.0) / self._column(values.ndim))), low, high)
        return codes.astype(np.int8 if self.signed else np.uint8)

    def dequantize(self, codes: np.ndarray) -> np.ndarray:
        """float32 values of codes[batch, channel, ...]."""
        values: np.ndarray = codes.astype(np.float32) * self._column(codes.ndim)
        return values

    def _column(self, axes: int) -> np.ndarray:
        column: np.ndarray = self.scale.reshape(1, -1, *([1] * (axes - 2)))
        return column


def calibrate(values: np.ndarray, bits: int) -> Quantizer:
    """Choose scales by least squared error, channel by channel.

    Args:
        values: float[n, channel, ...], a sample of what will cross.
        bits: 1 to 8.

    Raises:
        ExportError: `bits` is out of range, or a value is not finite.
    """
    if not 1 <= bits <= 8:
        raise ExportError(f"codes have 1 to 8 bits, got {bits}")
    if not np.isfinite(values).all():
        raise ExportError("the tensor at the cut has values that are not finite; cut elsewhere")
    signed = bool((values < 0).any())
    highest = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    lowest = -(1 << (bits - 1)) if signed else 0
    rows = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1).astype(np.float64)
    steps = max(highest, 1)
    peak = np.maximum(np.abs(rows).max(axis=1), 1e-8)
    best, error = peak / steps, np.full(len(rows), np.inf)
    for ratio in _CLIP_RATIOS:
        scale = peak * ratio / steps
        codes = np.clip(np.round(rows / scale[:, None]), lowest, highest)
        found = ((codes * scale[:, None] - rows) ** 2).mean(axis=1)
        best, error = np.where(found < error, scale, best), np.minimum(found, error)
    return Quantizer(scale=best.astype(np.float32), bits=bits, signed=signed)


def quantizing_model(quantizer: Quantizer, *, source: str, codes: str, shape: tuple[int, ...], opset: int) -> ir.Model:
    """ONNX that turns float32[batch, *shape] `source` into `codes`."""
    low, high = quantizer.code_range
    data_type = ir.DataType.INT8 if quantizer.signed else ir.DataType.UINT8
    given = _value(source, ir.DataType.FLOAT, shape)
    inverse = _constant(
        f"{codes}_inverse_scale", (1.0 / quantizer.scale).astype(np.float32).reshape(1, -1, *([1] * (len(shape) - 1)))
    )
    lowest, highest = (_constant(f"{codes}_{end}", np.float32(bound)) for end, bound in (("lowest", low), ("highest", high)))
    scaled = ir.node("Mul", [given, inverse], name=f"{codes}_scale")
    rounded = ir.node("Round", [scaled.outputs[0]], name=f"{codes}_round")
    clipped = ir.node("Clip", [rounded.outputs[0], lowest, highest], name=f"{codes}_clip")
    cast = ir.node("Cast", [clipped.outputs[0]], attributes={"to": int(data_type)}, name=f"{codes}_cast")
    return _model(
        [given], cast, _named(cast, codes, data_type, shape), [scaled, rounded, clipped, cast], [inverse, lowest, highest], opset
    )


def dequantizing_model(quantizer: Quantizer, *, codes: str, target: str, shape: tuple[int, ...], opset: int) -> ir.Model:
    """ONNX that turns `codes` back into float32[batch, *shape] `target`."""
    given = _value(codes, ir.DataType.INT8 if quantizer.signed else ir.DataType.UINT8, shape)
    scale = _constant(f"{codes}_scale_back", quantizer.scale.reshape(1, -1, *([1] * (len(shape) - 1))))
    cast = ir.node("Cast", [given], attributes={"to": int(ir.DataType.FLOAT)}, name=f"{codes}_float")
    scaled = ir.node("Mul", [cast.outputs[0], scale], name=f"{codes}_rescale")
    return _model([given], scaled, _named(scaled, target, ir.DataType.FLOAT, shape), [cast, scaled], [scale], opset)


def _value(name: str, data_type: ir.DataType, shape: tuple[int, ...]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(data_type), shape=ir.Shape(["batch", *shape]))


def _constant(name: str, array: np.ndarray | np.float32) -> ir.Value:
    tensor = ir.tensor(np.asarray(array), name=name)
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(np.shape(array)), const_value=tensor)


def _named(node: ir.Node, name: str, data_type: ir.DataType, shape: tuple[int, ...]) -> ir.Value:
    output = node.outputs[0]
    output.name, output.type, output.shape = name, ir.TensorType(data_type), ir.Shape(["batch", *shape])
    return output


def _model(
    inputs: list[ir.Value], last: ir.Node, output: ir.Value, nodes: list[ir.Node], constants: list[ir.Value], opset: int
) -> ir.Model:
    for node in nodes:
        if node is not last:
            node.outputs[0].name = f"{node.name}_value"
    graph = ir.Graph(inputs, [output], nodes=nodes, initializers=constants, opset_imports={"": opset}, name="boundary")
    return ir.Model(graph, ir_version=8, producer_name="isthmus")
