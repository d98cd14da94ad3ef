"""How a tensor at the cut becomes codes with the channel in front, and goes back.

Networks keep channels where they like: [batch, channel, row, column], tokens [batch, token, feature], windows
[64 x batch, token, feature], values without a batch. Codes are [batch, channel, ...] always, because a code's scale and an
operating point go by channel. What lies between is one `Reshape` and one `Transpose`, left out where they would do nothing;
half-precision and 8-bit values pass through float32.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.bottlenecks import affine
from isthmus.export.bottlenecks.affine import Affine
from isthmus.export.bottlenecks.chain import Chain, Dimensions
from isthmus.export.graph.flow import BATCH, name_of

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
CHANNELS_SECOND = frozenset(
    {
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "GlobalAveragePool",
        "InstanceNormalization",
        "MaxPool",
        "QLinearConv",
    }
)
"""Operators whose first input and output are [batch, channel, ...] by the ONNX standard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where batch and channel of one tensor are.

    Attributes:
        name: of the tensor.
        data_type: of the tensor.
        dimensions: of the tensor; a free batch as `batch` or `8*batch`.
        sizes: the tensor's axes with the batch on one of its own; -1 there if it is free, else 1.
        batch: place of the batch in `sizes`.
        channel: place of the channel in `sizes`.
        is_certain: whether an operator says where the channel is.
        affine: scale and zero point of 8-bit values; None for floats, or where they are not known.
    """

    name: str
    data_type: ir.DataType
    dimensions: Dimensions
    sizes: tuple[int, ...]
    batch: int
    channel: int
    is_certain: bool = False
    affine: Affine | None = None

    @property
    def is_free(self) -> bool:
        """Whether several rows can pass at once."""
        return self.sizes[self.batch] == -1

    @property
    def order(self) -> tuple[int, ...]:
        """Places in `sizes` of batch, channel, and the rest."""
        rest = (axis for axis in range(len(self.sizes)) if axis not in (self.batch, self.channel))
        return (self.batch, self.channel, *rest)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channel and the rest: the shape of one row of codes."""
        return tuple(self.sizes[axis] for axis in self.order[1:])

    @property
    def code_dimensions(self) -> Dimensions:
        """The same with the batch in front."""
        return (BATCH if self.is_free else 1, *self.shape)

    def with_channel(self, place: int) -> "Layout":
        """The same tensor with another axis as its channel."""
        return replace(self, channel=place)

    def channel_places(self) -> tuple[int, ...]:
        """Where the channel may be: the first axis beside the batch and, where nothing says that it is there, the last."""
        if self.is_certain:
            return (self.channel,)
        axes = [axis for axis in range(len(self.sizes)) if axis != self.batch]
        return tuple(dict.fromkeys((axes[0], axes[-1])))

    def rows(self, array: np.ndarray) -> np.ndarray:
        """float32[batch, channel, ...] of the tensor as the head gives it."""
        values = array if self.affine is None else self.affine.dequantize(array)
        return values.astype(np.float32).reshape(self.sizes).transpose(self.order)

    def opened(self) -> Chain:
        """From the tensor to float32[batch, channel, ...]."""
        chain = Chain(self.name, self.data_type, self.dimensions)
        if self.affine is not None:
            chain.then("DequantizeLinear", *self._affine(self.affine))
        elif self.data_type != ir.DataType.FLOAT:
            chain.cast(ir.DataType.FLOAT)
        return self.arranged(chain)

    def arranged(self, chain: Chain) -> Chain:
        """From the tensor's axes to [batch, channel, ...], whatever the type."""
        if len(self.sizes) != len(self.dimensions):
            chain.then("Reshape", np.array(self.sizes, dtype=np.int64))
        if self.order != tuple(range(len(self.sizes))):
            chain.then("Transpose", perm=list(self.order))
        return chain

    def closed(self, chain: Chain, *, opset: int) -> ir.Model:
        """From float32[batch, channel, ...] back to the tensor; ends the chain."""
        self.restored(chain)
        if self.affine is not None:
            chain.then("QuantizeLinear", *self._affine(self.affine))
        elif self.data_type != ir.DataType.FLOAT:
            chain.cast(self.data_type)
        return chain.model(self.name, self.data_type, self.dimensions, opset=opset)

    def restored(self, chain: Chain) -> Chain:
        """From [batch, channel, ...] to the tensor's axes, whatever the type."""
        if self.order != tuple(range(len(self.sizes))):
            chain.then("Transpose", perm=[int(place) for place in np.argsort(self.order)])
        if len(self.sizes) != len(self.dimensions):
            target = [size if isinstance(size, int) else -1 for size in self.dimensions]
            chain.then("Reshape", np.array(target, dtype=np.int64))
        return chain

    def _affine(self, known: Affine) -> tuple[np.float32, np.ndarray]:
        return known.scale, np.array(known.zero_point, dtype=self.data_type.numpy())


def of(output: ir.Value, given: ir.Value) -> Layout:
    """The layout of a tensor at the cut, with the first axis beside the batch as its channel.

    Args:
        output: the tensor as the head gives it.
        given: the same as the tail takes it.

    Raises:
        ExportError: the tensor is neither float nor of 8 bits, or a size other than the batch is free.
    """
    if output.dtype not in (*FLOATS, *BYTES) or output.shape is None:
        raise ExportError(f"{affine.describe(output)}; only float and 8-bit tensors of fixed size can cross, name another cut")
    dimensions = tuple(size if isinstance(size, int) else str(size.value) for size in output.shape)
    batches = [axis for axis, size in zip(range(len(dimensions)), dimensions, strict=True) if isinstance(size, str)]
    factors = [_factor(output, str(dimensions[axis])) for axis in batches]
    if len(batches) > 1 or not dimensions:
        raise ExportError(f"{affine.describe(output)}; more than its batch is free, name another cut")
    sizes = [size for size in dimensions if isinstance(size, int)]
    place = batches[0] if batches else 0
    if batches:
        sizes[place:place] = [-1] if factors[0] == 1 else [-1, factors[0]]
    elif dimensions[0] != 1 or len(dimensions) == 1:
        sizes.insert(0, 1)
    if len(sizes) == 1:
        raise ExportError(f"{affine.describe(output)}; nothing but the batch would cross, name another cut")
    known = affine.find(output, given) if output.dtype in BYTES else None
    return Layout(
        name=name_of(output),
        data_type=output.dtype,
        dimensions=dimensions,
        sizes=tuple(sizes),
        batch=place,
        channel=next(axis for axis in range(len(sizes)) if axis != place),
        is_certain=place == 0 and len(sizes) == len(dimensions) and _has_channels_second(output, given),
        affine=known,
    )


def _has_channels_second(output: ir.Value, given: ir.Value) -> bool:
    """Whether the operator that makes the tensor, or one that reads it, keeps channels in second place."""
    maker = output.producer()
    readers = [use.node for use in given.uses() if use.idx == 0]
    # Operators of other domains, as onnxruntime's own QLinearConv, may have their channels last.
    standard = [node for node in [*readers, *([] if maker is None else [maker])] if node.domain in ("", "ai.onnx")]
    return any(node.op_type in CHANNELS_SECOND for node in standard)


def _factor(value: ir.Value, size: str) -> int:
    """How many rows of the tensor belong to one of the batch: 1 for `batch`, 8 for `8*batch`."""
    found = re.fullmatch(rf"(?:(\d+) ?\* ?)?{BATCH}(?: ?\* ?(\d+))?", size)
    if found is None:
        raise ExportError(f"{affine.describe(value)}; more than its batch is free, name another cut")
    return int(found[1] or 1) * int(found[2] or 1)
