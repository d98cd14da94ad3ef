"""Operators on feature maps `[batch, channel, spatial...]`: convolution, pooling, resizing."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import ExportError
from isthmus.export.training.operators.call import Call, Operator, integers_of

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
_MAX_POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def _sides(
    call: Call, sizes: Sequence[int], kernel: Sequence[int], strides: list[int], dilations: list[int]
) -> list[tuple[int, int]]:
    """Padding before and after each spatial axis, from `pads` or `auto_pad`."""
    mode, rank = call.text("auto_pad", "NOTSET"), len(kernel)
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode == "NOTSET":
        pads = call.integers("pads") or [0] * (2 * rank)
        return list(zip(pads[:rank], pads[rank:], strict=True))
    sides = []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((ceil(size / stride) - 1) * stride + dilation * (taps - 1) + 1 - size, 0)
        smaller, larger = total // 2, total - total // 2
        sides.append((smaller, larger) if mode == "SAME_UPPER" else (larger, smaller))
    return sides


def _steps(call: Call, name: str, rank: int) -> list[int]:
    return call.integers(name) or [1] * rank


def _padded(x: Tensor, sides: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    widths = [width for side in reversed(sides) for width in side]
    return functional.pad(x, widths, value=value) if any(widths) else x


def _convolution(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    kernel = list(weight.shape[2:])
    strides, dilations = _steps(call, "strides", len(kernel)), _steps(call, "dilations", len(kernel))
    sides = _sides(call, x.shape[2:], kernel, strides, dilations)
    padding: list[int] = [0] * len(kernel)
    if all(before == after for before, after in sides):
        padding = [before for before, _ in sides]
    else:
        x = _padded(x, sides)
    return _CONVOLUTIONS[len(kernel)](x, weight, bias, strides, padding, dilations, call.integer("group", 1))


def _transposed_convolution(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Computed without padding, then cut, which also covers uneven pads and a wanted output shape."""
    kernel = list(weight.shape[2:])
    strides, dilations = _steps(call, "strides", len(kernel)), _steps(call, "dilations", len(kernel))
    extra = call.integers("output_padding") or [0] * len(kernel)
    full = _TRANSPOSED[len(kernel)](x, weight, bias, strides, 0, 0, call.integer("group", 1), dilations)
    sides = _transposed_sides(call, x.shape[2:], kernel, strides, dilations, extra)
    for axis, (before, after), more in zip(range(2, x.ndim), sides, extra, strict=True):
        wanted = full.shape[axis] + more - before - after
        if before + wanted > full.shape[axis]:  # output padding beyond what was computed holds the bias alone
            full = _lengthened(full, axis, before + wanted - full.shape[axis], bias)
        full = full.narrow(axis, before, wanted)
    return full


def _lengthened(x: Tensor, axis: int, count: int, bias: Tensor | None) -> Tensor:
    shape = list(x.shape)
    shape[axis] = count
    filler = x.new_zeros(shape) if bias is None else bias.reshape(-1, *[1] * (x.ndim - 2)).expand(shape)
    return torch.cat([x, filler], axis)


def _transposed_sides(
    call: Call, sizes: Sequence[int], kernel: list[int], strides: list[int], dilations: list[int], extra: list[int]
) -> list[tuple[int, int]]:
    mode, wanted = call.text("auto_pad", "NOTSET"), call.integers("output_shape")
    if mode in {"NOTSET", "VALID"} and wanted is None:
        return _sides(call, sizes, kernel, strides, dilations)
    wanted = wanted or [size * stride for size, stride in zip(sizes, strides, strict=True)]
    sides = []
    for size, taps, stride, dilation, more, target in zip(sizes, kernel, strides, dilations, extra, wanted, strict=True):
        total = max(stride * (size - 1) + more + (taps - 1) * dilation + 1 - target, 0)
        half = total // 2
        sides.append((half, total - half) if mode == "SAME_UPPER" else (total - half, half))
    return sides


def _pool_sides(call: Call, x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]) -> list[tuple[int, int]]:
    """Pads of a pooling; `ceil_mode` becomes more padding at the end, as far as the last window starts inside."""
    sides = _sides(call, x.shape[2:], kernel, strides, dilations)
    if not call.flag("ceil_mode"):
        return sides
    longer = []
    for size, (before, after), taps, stride, dilation in zip(x.shape[2:], sides, kernel, strides, dilations, strict=True):
        span = dilation * (taps - 1) + 1
        count = ceil((size + before + after - span) / stride) + 1
        if (count - 1) * stride >= size + before:
            count -= 1
        longer.append((before, max((count - 1) * stride + span - size - before, after)))
    return longer


def _max_pool(call: Call, x: Tensor) -> Tensor:
    if call.outputs > 1:
        raise ExportError("MaxPool with indices as a second output cannot be interpreted; export the model without unpooling")
    kernel = call.integers("kernel_shape") or []
    strides, dilations = _steps(call, "strides", len(kernel)), _steps(call, "dilations", len(kernel))
    x = _padded(x, _pool_sides(call, x, kernel, strides, dilations), float("-inf"))
    return _MAX_POOLS[len(kernel)](x, kernel, strides, 0, dilations)


def _average_pool(call: Call, x: Tensor) -> Tensor:
    """Sum over the window over the number of elements counted: real ones, or declared padding as well."""
    kernel = call.integers("kernel_shape") or []
    strides, dilations = _steps(call, "strides", len(kernel)), _steps(call, "dilations", len(kernel))
    sides = _pool_sides(call, x, kernel, strides, dilations)
    counted = torch.ones_like(x[:1, :1])
    if call.flag("count_include_pad"):
        declared = _sides(call, x.shape[2:], kernel, strides, dilations)
        counted = _padded(counted, declared, 1.0)
        rest = [(all_[0] - mine[0], all_[1] - mine[1]) for all_, mine in zip(sides, declared, strict=True)]
        counted = _padded(counted, rest)
    else:
        counted = _padded(counted, sides)
    return _window_sum(_padded(x, sides), kernel, strides, dilations) / _window_sum(counted, kernel, strides, dilations)


def _window_sum(x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]) -> Tensor:
    ones = x.new_ones(1, 1, *kernel)
    flat = x.reshape(-1, 1, *x.shape[2:])
    summed = _CONVOLUTIONS[len(kernel)](flat, ones, None, strides, 0, dilations)
    return summed.reshape(*x.shape[:2], *summed.shape[2:])


def _global_average_pool(_call: Call, x: Tensor) -> Tensor:
    return x.mean(list(range(2, x.ndim)), keepdim=True)


def _global_max_pool(_call: Call, x: Tensor) -> Tensor:
    return x.amax(list(range(2, x.ndim)), keepdim=True)


def _resize(
    call: Call, x: Tensor, _region: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    """Nearest and linear; each axis on its own, as the standard defines it."""
    mode, transform = call.text("mode", "nearest"), call.text("coordinate_transformation_mode", "half_pixel")
    if mode not in {"nearest", "linear"} or transform not in _TRANSFORMS:
        raise ExportError(f"Resize {mode} with {transform} coordinates cannot be interpreted; nearest and linear can")
    if call.flag("antialias") or call.integers("axes") is not None:
        raise ExportError("Resize with antialias or axes cannot be interpreted; export without them")
    if sizes is not None and sizes.numel():
        targets = integers_of(sizes)
        factors = [target / size for target, size in zip(targets, x.shape, strict=True)]
    elif scales is not None:
        factors = [float(scale) for scale in scales.tolist()]
        targets = [int(size * factor) for size, factor in zip(x.shape, factors, strict=True)]
    else:
        raise ExportError("Resize has neither scales nor sizes")
    for axis in range(x.ndim):
        if targets[axis] != x.shape[axis]:
            x = _resize_axis(call, x, axis, targets[axis], factors[axis])
    return x


_TRANSFORMS = frozenset({"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"})


def _source_places(transform: str, size: int, target: int, factor: float) -> Tensor:
    """Per output element the place in the input, in elements: float64[target]."""
    places = torch.arange(target, dtype=torch.float64)
    if transform == "asymmetric":
        return places / factor
    if transform == "align_corners":
        return places * (size - 1) / (target - 1) if target > 1 else torch.zeros(1, dtype=torch.float64)
    if transform == "pytorch_half_pixel" and target == 1:
        return torch.zeros(1, dtype=torch.float64)
    return (places + 0.5) / factor - 0.5


def _resize_axis(call: Call, x: Tensor, axis: int, target: int, factor: float) -> Tensor:
    size = x.shape[axis]
    places = _source_places(call.text("coordinate_transformation_mode", "half_pixel"), size, target, factor)
    if call.text("mode", "nearest") == "nearest":
        rounded = _nearest(places, call.text("nearest_mode", "round_prefer_floor"))
        return x.index_select(axis, rounded.clamp(0, size - 1).to(x.device))
    places = places.clamp(0, size - 1)
    left = places.floor().long()
    share = (places - left).to(x.device, x.dtype).reshape([-1 if place == axis else 1 for place in range(x.ndim)])
    right = (left + 1).clamp(max=size - 1)
    return x.index_select(axis, left.to(x.device)) * (1 - share) + x.index_select(axis, right.to(x.device)) * share


def _nearest(places: Tensor, mode: str) -> Tensor:
    if mode == "floor":
        return places.floor().long()
    if mode == "ceil":
        return places.ceil().long()
    return (places + 0.5).floor().long() if mode == "round_prefer_ceil" else (places - 0.5).ceil().long()


def _depth_to_space(call: Call, x: Tensor) -> Tensor:
    block = call.integer("blocksize", 1)
    if call.text("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, block)
    batch, channels, rows, columns = x.shape
    x = x.reshape(batch, block, block, channels // block**2, rows, columns).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(batch, channels // block**2, rows * block, columns * block)


def _space_to_depth(call: Call, x: Tensor) -> Tensor:
    block = call.integer("blocksize", 1)
    batch, channels, rows, columns = x.shape
    x = x.reshape(batch, channels, rows // block, block, columns // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(batch, channels * block**2, rows // block, columns // block)


TABLE: dict[str, Operator] = {
    "AveragePool": _average_pool,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "DepthToSpace": _depth_to_space,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "MaxPool": _max_pool,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
}
