"""A bottleneck: an encoder and a decoder around the codes of one boundary tensor. `none`, `pca` and `learned` all make these.

    tensor at the cut (or the network's input) -> encoder -> code units -> round, clip -> codes
    codes -> decoder -> tensor at the cut

The encoder gives *code units*: numbers whose rounding is the code, so that scales are its own affair and can be folded into its
last layer. The code 0 must stand for what a decoder makes of a missing channel: the value 0, or the mean.

Two torch modules become a bottleneck by `from_modules`, whatever is in them; `assembled` of `halves` puts bottlenecks into a
network. `docs/bottlenecks.md` has an example.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from isthmus.contract.boundary import CodeTensor
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks.chain import Chain
from isthmus.export.cutting.split import Halves
from isthmus.export.doors import equality, tracing
from isthmus.export.graph import opset
from isthmus.export.graph.flow import BATCH, dimensions, name_of
from isthmus.export.graph.merge import merge
from isthmus.export.samples import Samples


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bottleneck:
    """What crosses as one tensor of codes.

    Attributes:
        encoder: one input, named as a tensor at the cut or as the network's input, which it then takes in place of the head; one
            output, float32[batch, *shape] code units, or the codes themselves as int8 or uint8.
        decoder: one input, the codes as float32[batch, *shape] or as int8 or uint8; one output, named as the tensor at the cut.
        shape: of one row of codes, the channel first.
        bits: of a code, 1 to 8.
        signed: whether codes can be negative.
        is_nested: channels come in the order of their weight, so that every prefix of them is a bottleneck too.
        explained: of the variance at the cut, the part that the first 1, 2, ... channels keep; empty where it was not measured.
    """

    encoder: ir.Model
    decoder: ir.Model
    shape: tuple[int, ...]
    bits: int
    signed: bool = True
    is_nested: bool = False
    explained: tuple[float, ...] = ()

    def tensor(self, name: str) -> CodeTensor:
        """The boundary tensor under the name it gets."""
        return CodeTensor(name=name, shape=self.shape, bits=self.bits, signed=self.signed)


Maker = Callable[[Halves, Samples, Preparation], Sequence[Bottleneck]]
"""Makes the bottlenecks of an exact split from pictures and their preparation, one for each tensor of codes."""


def from_modules(
    halves: Halves, encoder: nn.Module, decoder: nn.Module, *, bits: int, signed: bool = True, replaces_head: bool = False
) -> Bottleneck:
    """Make a bottleneck of two torch modules in eval mode.

    Args:
        halves: an exact split at which one tensor crosses.
        encoder: takes the tensor at the cut, or the network's input if `replaces_head`; gives code units, not rounded,
            float32[batch, channel, ...].
        decoder: takes codes as float32[batch, channel, ...], gives the tensor at the cut.
        bits: of a code, 1 to 8.
        signed: whether codes can be negative.
        replaces_head: the encoder stands in for everything before the cut.

    Raises:
        ExportError: several tensors cross, a size is not fixed, a module does not fit, or torch cannot export it.
    """
    cut, source = halves.head.graph.outputs, halves.head.graph.inputs[0]
    if len(cut) != 1 or halves.auxiliary:
        names = ", ".join(map(name_of, cut))
        raise ExportError(f"two modules make a bottleneck at a cut of one tensor, here {len(cut)} cross ({names})")
    read = source if replaces_head else cut[0]
    takes, restores = dimensions(read), dimensions(cut[0])
    if takes is None or restores is None:
        raise ExportError(f"{name_of(read)} {read.shape} or {name_of(cut[0])} {cut[0].shape} has a free size; name another cut")
    version = halves.tail.opset_imports[""]
    into = _taking(read, _as_onnx(encoder, takes[1:], name_of(read), "units", version))
    shape = dimensions(into.graph.outputs[0])
    if shape is None or len(shape) < 2:
        raise ExportError(f"the encoder gives {into.graph.outputs[0].shape}, codes are [batch, channel, ...] of fixed size")
    back = _as_onnx(decoder, shape[1:], "code_values", name_of(cut[0]), version)
    if dimensions(back.graph.outputs[0]) != restores:
        given = back.graph.outputs[0].shape
        raise ExportError(f"the decoder gives {given}, the tensor {name_of(cut[0])} at the cut is {cut[0].shape}")
    back = _giving(cut[0], back)
    return Bottleneck(encoder=into, decoder=back, shape=shape[1:], bits=bits, signed=signed)


def _as_onnx(module: nn.Module, shape: tuple[int, ...], source: str, target: str, version: int) -> ir.Model:
    example = torch.from_numpy(np.random.default_rng(0).random((2, *shape), dtype=np.float32))
    exported = tracing.to_onnx(module.eval(), (example,))
    model = opset.converted(exported.model, version) if exported.model.opset_imports[""] != version else exported.model
    model = model or exported.model
    equality.check_equal(module, model, exported.feeds)
    _rename(model, model.graph.inputs[0], source)
    _rename(model, model.graph.outputs[0], target)
    return model


def _taking(value: ir.Value, model: ir.Model) -> ir.Model:
    """`model`, which takes float32, behind a cast from the type of `value`; a network may compute in half precision."""
    if value.dtype in {None, ir.DataType.FLOAT}:
        return model
    given = model.graph.inputs[0]
    _rename(model, given, f"{name_of(value)}_float32")
    sizes = _sizes(given)
    cast = Chain(name_of(value), value.dtype, sizes).cast(ir.DataType.FLOAT)
    before = cast.model(name_of(given), ir.DataType.FLOAT, sizes, opset=model.opset_imports[""])
    return merge(before, model, join={name_of(given): name_of(given)})


def _giving(value: ir.Value, model: ir.Model) -> ir.Model:
    """`model`, which gives float32, before a cast to the type of `value`; to codes by rounding, as a quantised network has."""
    if value.dtype in {None, ir.DataType.FLOAT}:
        return model
    made = model.graph.outputs[0]
    _rename(model, made, f"{name_of(value)}_float32")
    sizes = _sizes(made)
    chain = Chain(name_of(made), ir.DataType.FLOAT, sizes)
    if value.dtype.is_integer():
        limits = np.iinfo(value.dtype.numpy())
        chain.then("Round").then("Clip", np.float32(limits.min), np.float32(limits.max))
    behind = chain.cast(value.dtype).model(name_of(value), value.dtype, sizes, opset=model.opset_imports[""])
    return merge(model, behind, join={name_of(made): name_of(made)})


def _sizes(value: ir.Value) -> tuple[int | str, ...]:
    return tuple(size if isinstance(size, int) else BATCH for size in value.shape or ())


def _rename(model: ir.Model, value: ir.Value, name: str) -> None:
    for node in model.graph:
        for other in node.outputs:
            if other.name == name and other is not value:
                other.name = f"{name}_inner"
    value.name = name
