"""Operators that move elements without computing on them, and those that make or read shapes."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import ExportError
from isthmus.export.training.operators.call import Call, Operator, aligned, integers_of


def _constant(call: Call) -> Tensor:
    for name, value in call.attributes.items():
        if name == "value":
            return torch.from_numpy(np.array(value.numpy()))  # type: ignore[attr-defined]
        if name in {"value_int", "value_ints"}:
            return torch.tensor(value, dtype=torch.int64)
        if name in {"value_float", "value_floats"}:
            return torch.tensor(value, dtype=torch.float32)
    raise ExportError(f"Constant with {', '.join(call.attributes)} has no torch value")


def _constant_of_shape(call: Call, shape: Tensor) -> Tensor:
    value = call.attributes.get("value")
    filler = torch.zeros(1) if value is None else torch.from_numpy(np.array(value.numpy()))  # type: ignore[attr-defined]
    return filler.reshape(-1)[0].expand(integers_of(shape)).clone()


def _concat(call: Call, *tensors: Tensor) -> Tensor:
    return torch.cat(tensors, call.integer("axis", 1))


def _expand(_call: Call, x: Tensor, shape: Tensor) -> Tensor:
    target = np.broadcast_shapes(tuple(x.shape), tuple(integers_of(shape)))
    return x.expand(target)


def _flatten(call: Call, x: Tensor) -> Tensor:
    axis = aligned(call.integer("axis", 1), x.ndim)
    rows = int(np.prod(x.shape[:axis]))
    return x.reshape(rows, int(np.prod(x.shape[axis:])))


def _gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    axis = aligned(call.integer("axis", 0), x.ndim)
    flat = indices.reshape(-1).to(x.device, torch.int64)
    flat = torch.where(flat < 0, flat + x.shape[axis], flat)
    return x.index_select(axis, flat).reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _pad(call: Call, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
    amounts = call.integers_or_input("pads", pads) or []
    places = [aligned(axis, x.ndim) for axis in integers_of(axes)] if axes is not None else list(range(x.ndim))
    before, after = amounts[: len(places)], amounts[len(places) :]
    by_axis = {axis: (low, high) for axis, low, high in zip(places, before, after, strict=True)}
    widths = [width for axis in reversed(range(x.ndim)) for width in by_axis.get(axis, (0, 0))]
    mode = call.text("mode", "constant")
    if mode == "constant":
        filler = call.number("value", 0.0) if value is None else value.item()
        return functional.pad(x, widths, value=filler)
    kinds = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    while len(widths) > 2 and widths[-2:] == [0, 0]:  # torch pads only the last axes in these modes
        widths = widths[:-2]
    return functional.pad(x, widths, mode=kinds[mode])


def _range(_call: Call, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _reshape(call: Call, x: Tensor, shape: Tensor | None = None) -> Tensor:
    target = call.integers_or_input("shape", shape) or []
    if not call.flag("allowzero"):
        target = [x.shape[axis] if size == 0 else size for axis, size in zip(range(len(target)), target, strict=True)]
    return x.reshape(target)


def _shape(call: Call, x: Tensor) -> Tensor:
    end = call.integer("end", x.ndim)
    return torch.tensor(list(x.shape)[call.integer("start", 0) : end], dtype=torch.int64)


def _size(_call: Call, x: Tensor) -> Tensor:
    return torch.tensor(x.numel(), dtype=torch.int64)


def _slice(
    call: Call,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first = call.integers_or_input("starts", starts) or []
    last = call.integers_or_input("ends", ends) or []
    places = call.integers_or_input("axes", axes) or list(range(len(first)))
    strides = integers_of(steps) if steps is not None else [1] * len(first)
    for axis, start, end, step in zip(places, first, last, strides, strict=True):
        x = _slice_axis(x, aligned(axis, x.ndim), slice(start, end, step))
    return x


def _slice_axis(x: Tensor, axis: int, part: slice) -> Tensor:
    """Slice one axis; torch has no negative step, so those pick indices."""
    size = x.shape[axis]
    if part.step > 0:
        start, end, step = part.indices(size)
        return x[(slice(None),) * axis + (slice(start, end, step),)]
    start = min(part.start + size if part.start < 0 else part.start, size - 1)
    end = part.stop + size if -size <= part.stop < 0 else max(part.stop, -1)
    return x.index_select(axis, torch.arange(start, end, part.step, device=x.device))


def _split(call: Call, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = aligned(call.integer("axis", 0), x.ndim)
    lengths = call.integers_or_input("split", sizes)
    if lengths is None:
        largest = -(-x.shape[axis] // call.outputs)
        lengths = [min(largest, x.shape[axis] - largest * part) for part in range(call.outputs)]
    return tuple(torch.split(x, lengths, axis))


def _squeeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = call.integers_or_input("axes", axes)
    return x.squeeze() if places is None else x.squeeze(tuple(aligned(axis, x.ndim) for axis in places))


def _tile(_call: Call, x: Tensor, repeats: Tensor) -> Tensor:
    return x.repeat(integers_of(repeats))


def _transpose(call: Call, x: Tensor) -> Tensor:
    return x.permute(call.integers("perm") or list(reversed(range(x.ndim))))


def _unsqueeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = call.integers_or_input("axes", axes) or []
    rank = x.ndim + len(places)
    for axis in sorted(aligned(axis, rank) for axis in places):
        x = x.unsqueeze(axis)
    return x


TABLE: dict[str, Operator] = {
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
