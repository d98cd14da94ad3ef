"""Operators that sum over axes: reductions, matrix products with a bias, normalisations."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.export.training.operators.call import Call, Operator, aligned


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def reduce(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
        places = call.integers_or_input("axes", axes)
        if not places:
            if call.flag("noop_with_empty_axes"):
                return x
            places = list(range(x.ndim))
        return function(x, places, call.flag("keepdims", default=True))

    return reduce


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((aligned(axis, x.ndim) for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _arg(function: Callable[..., Tensor]) -> Operator:
    def find(call: Call, x: Tensor) -> Tensor:
        return function(x, call.integer("axis", 0), keepdim=call.flag("keepdims", default=True))

    return find


def _gemm(call: Call, left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    left = left.T if call.flag("transA") else left
    right = right.T if call.flag("transB") else right
    product = call.number("alpha", 1.0) * (left @ right)
    return product if bias is None else product + call.number("beta", 1.0) * bias


def _batch_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Always with the stored statistics; they are never updated."""
    return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=call.number("epsilon", 1e-5))


def _instance_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return functional.instance_norm(x, weight=scale, bias=bias, eps=call.number("epsilon", 1e-5))


def _layer_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
    axis = aligned(call.integer("axis", -1), x.ndim)
    places = list(range(axis, x.ndim))
    mean = x.mean(places, keepdim=True)
    inverse = torch.rsqrt(x.var(places, unbiased=False, keepdim=True) + call.number("epsilon", 1e-5))
    result = (x - mean) * inverse * scale
    result = result if bias is None else result + bias
    return result if call.outputs == 1 else (result, mean, inverse)[: call.outputs]


TABLE: dict[str, Operator] = {
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "BatchNormalization": _batch_normalization,
    "Gemm": _gemm,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "ReduceL1": _reduction(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "ReduceMax": _reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "ReduceMean": _reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "ReduceMin": _reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "ReduceProd": _reduction(_product),
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
}
