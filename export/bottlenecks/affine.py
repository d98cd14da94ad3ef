"""The scale and zero point behind an 8-bit tensor of a network that came in quantised.

They are not in the tensor's type but in the operators around it: those that made it (`QuantizeLinear`, the `QLinear` family),
possibly through operators that only move values, or the `DequantizeLinear` that reads it.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from isthmus.export.cutting.coded import MOVING
from isthmus.export.graph.flow import name_of

_MADE_BY = {
    "QuantizeLinear": (1, 2),
    "QLinearConv": (6, 7),
    "QLinearMatMul": (6, 7),
    "QLinearAdd": (6, 7),
    "QLinearMul": (6, 7),
    "QLinearConcat": (0, 1),
    "QLinearAveragePool": (3, 4),
    "QLinearGlobalAveragePool": (3, 4),
    "QLinearLeakyRelu": (3, 4),
    "QLinearSigmoid": (3, 4),
    "QLinearSoftmax": (3, 4),
    "QGemm": (7, 8),
}
"""Operator -> places of scale and zero point of its output among its inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """value = (code - zero_point) x scale, one of each for the whole tensor."""

    scale: np.float32
    zero_point: int

    def dequantize(self, codes: np.ndarray) -> np.ndarray:
        """float32 values of int8 or uint8 codes of any shape."""
        values: np.ndarray = (codes.astype(np.int32) - self.zero_point).astype(np.float32) * self.scale
        return values


def find(output: ir.Value, given: ir.Value) -> Affine | None:
    """Scale and zero point of an 8-bit tensor at a cut; None where no operator around it tells.

    Args:
        output: the tensor as the head gives it.
        given: the same as the tail takes it.
    """
    return _from_producer(output) or _from_consumers(given)


def _from_producer(value: ir.Value) -> Affine | None:
    node = value.producer()
    while node is not None and node.op_type in MOVING and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type not in _MADE_BY:
        return None
    return _constants(node, *_MADE_BY[node.op_type])


def _from_consumers(value: ir.Value) -> Affine | None:
    found = (_constants(node, 1, 2) for node in value.consumers() if node.op_type == "DequantizeLinear")
    return next((affine for affine in found if affine is not None), None)


def _constants(node: ir.Node, scale_place: int, zero_place: int) -> Affine | None:
    scale = _constant(node, scale_place)
    zero_point = _constant(node, zero_place)
    if scale is None or scale.size != 1:
        return None
    zero = 0 if zero_point is None else int(zero_point.reshape(-1)[0])
    return Affine(scale=np.float32(scale.reshape(-1)[0]), zero_point=zero)


def _constant(node: ir.Node, place: int) -> np.ndarray | None:
    value = node.inputs[place] if place < len(node.inputs) else None
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    array: np.ndarray | None = None if tensor is None else tensor.numpy()
    return array


def describe(value: ir.Value) -> str:
    """Name, type and shape of a tensor, for messages."""
    return f"tensor {name_of(value)} at the cut is {value.dtype}{value.shape}"
