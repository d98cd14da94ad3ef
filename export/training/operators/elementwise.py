"""Operators that work on each element, comparisons, casts and quantisation."""

import functools
import math
from collections.abc import Callable

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import ExportError
from isthmus.export.training.operators.call import Call, Operator, aligned

TORCH_TYPES: dict[int, torch.dtype] = {
    int(ir.DataType.FLOAT): torch.float32,
    int(ir.DataType.DOUBLE): torch.float64,
    int(ir.DataType.FLOAT16): torch.float16,
    int(ir.DataType.BFLOAT16): torch.bfloat16,
    int(ir.DataType.INT64): torch.int64,
    int(ir.DataType.INT32): torch.int32,
    int(ir.DataType.INT16): torch.int16,
    int(ir.DataType.INT8): torch.int8,
    int(ir.DataType.UINT8): torch.uint8,
    int(ir.DataType.BOOL): torch.bool,
}


def _unary(function: Callable[..., Tensor]) -> Operator:
    return lambda _call, x: function(x)


def _binary(function: Callable[..., Tensor]) -> Operator:
    return lambda _call, left, right: function(*_together(left, right))


def _together(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Small integer constants stay on the CPU; bring them to where the data is."""
    if left.device == right.device:
        return left, right
    return (left.to(right.device), right) if left.device.type == "cpu" else (left, right.to(left.device))


def _variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda _call, *tensors: functools.reduce(function, tensors)


def _divide(left: Tensor, right: Tensor) -> Tensor:
    """Division; between integers it cuts towards zero, as in C."""
    return left / right if left.is_floating_point() else torch.div(left, right, rounding_mode="trunc")


def _power(left: Tensor, right: Tensor) -> Tensor:
    return torch.pow(left, right.to(left.dtype)).to(left.dtype)


def _clip(call: Call, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    least = call.number("min", -math.inf) if low is None else low.item()
    most = call.number("max", math.inf) if high is None else high.item()
    if x.is_floating_point() and math.isfinite(least) and least < most < math.inf:
        # The same as `clamp` with a gradient in one kernel; ReLU6 of a mobile network took half of a training step.
        return functional.hardtanh(x, least, most)
    return x.clamp(least, most) if x.is_floating_point() else _clip_integers(x, low, high)


def _clip_integers(x: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    x = x if low is None else torch.maximum(*_together(x, low))
    return x if high is None else torch.minimum(*_together(x, high))


def _hard_sigmoid(call: Call, x: Tensor) -> Tensor:
    return (x * call.number("alpha", 0.2) + call.number("beta", 0.5)).clamp(0, 1)


def _hard_swish(_call: Call, x: Tensor) -> Tensor:
    return x * (x / 6 + 0.5).clamp(0, 1)


def _leaky_relu(call: Call, x: Tensor) -> Tensor:
    return functional.leaky_relu(x, call.number("alpha", 0.01))


def _elu(call: Call, x: Tensor) -> Tensor:
    return functional.elu(x, call.number("alpha", 1.0))


def _gelu(call: Call, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=call.text("approximate", "none"))


def _prelu(_call: Call, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * slope)


def _softmax(call: Call, x: Tensor) -> Tensor:
    return _normalised(torch.softmax, call, x)


def _log_softmax(call: Call, x: Tensor) -> Tensor:
    return _normalised(torch.log_softmax, call, x)


def _normalised(function: Callable[..., Tensor], call: Call, x: Tensor) -> Tensor:
    """Before opset 13 everything from `axis` on was one axis."""
    if call.opset >= 13:
        return function(x, call.integer("axis", -1))
    axis = aligned(call.integer("axis", 1), x.ndim)
    return function(x.flatten(axis), -1).reshape(x.shape)


def _cast(call: Call, x: Tensor) -> Tensor:
    target = call.integer("to", 0)
    if target not in TORCH_TYPES:
        raise ExportError(f"Cast to {ir.DataType(target).name} has no torch type")
    return x.to(TORCH_TYPES[target])


def _dropout(call: Call, x: Tensor, *_: Tensor | None) -> Tensor | tuple[Tensor, Tensor]:
    """Inference: nothing is dropped; the mask, if asked for, is all true."""
    return x if call.outputs == 1 else (x, torch.ones_like(x, dtype=torch.bool))


def _where(_call: Call, condition: Tensor, left: Tensor, right: Tensor) -> Tensor:
    left, right = _together(left, right)
    return torch.where(condition.to(left.device), left, right)


def _along(values: Tensor, axis: int, rank: int) -> Tensor:
    """A vector of one value per channel, shaped to broadcast along `axis`."""
    if values.ndim != 1:
        return values
    return values.reshape([-1 if place == aligned(axis, rank) else 1 for place in range(rank)])


def _quantize(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Round half to even and saturate; carries no gradient."""
    kind = torch.uint8 if zero is None else zero.dtype
    axis = call.integer("axis", 1)
    offset = 0 if zero is None else _along(zero, axis, x.ndim)
    limits = torch.iinfo(kind)
    return (torch.round(x / _along(scale, axis, x.ndim)) + offset).clamp(limits.min, limits.max).to(kind)


def _dequantize(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    axis = call.integer("axis", 1)
    centred = x.to(scale.dtype) if zero is None else x.to(scale.dtype) - _along(zero, axis, x.ndim).to(scale.dtype)
    return centred * _along(scale, axis, x.ndim)


_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Identity": lambda x: x,
    "Log": torch.log,
    "Mish": functional.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": functional.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softplus": functional.softplus,
    "Softsign": functional.softsign,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
}

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "Div": _divide,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "MatMul": torch.matmul,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Pow": _power,
    "Sub": torch.sub,
}

TABLE: dict[str, Operator] = {
    **{name: _unary(function) for name, function in _UNARY.items()},
    **{name: _binary(function) for name, function in _BINARY.items()},
    "Max": _variadic(torch.maximum),
    "Min": _variadic(torch.minimum),
    "Sum": _variadic(torch.add),
    "Cast": _cast,
    "Clip": _clip,
    "DequantizeLinear": _dequantize,
    "Dropout": _dropout,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _log_softmax,
    "PRelu": _prelu,
    "QuantizeLinear": _quantize,
    "Softmax": _softmax,
    "Where": _where,
}
