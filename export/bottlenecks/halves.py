"""From a cut and its bottlenecks to the two networks that go into a bundle: head gives codes, tail takes codes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from isthmus.contract.boundary import Boundary
from isthmus.errors import ExportError
from isthmus.export.bottlenecks import folding
from isthmus.export.bottlenecks.bottleneck import Bottleneck
from isthmus.export.bottlenecks.chain import Chain
from isthmus.export.bottlenecks.quantizer import code_range
from isthmus.export.cutting.split import Halves
from isthmus.export.graph.flow import BATCH, data_inputs, name_of
from isthmus.export.graph.merge import merge
from isthmus.export.graph.session import Session


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodedHalves:
    """Both networks of a bundle.

    Attributes:
        head: picture -> codes, int8 or uint8[batch, *shape] by the names of the boundary.
        tail: codes -> outputs of the source network.
        boundary: what crosses.
        replaces_head: the encoders stand in for everything before the cut.
    """

    head: ir.Model
    tail: ir.Model
    boundary: Boundary
    replaces_head: bool = False

    def joined(self) -> ir.Model:
        """Head and tail as one network: the modified, quantised whole."""
        return merge(self.head, self.tail, join={tensor.name: tensor.name for tensor in self.boundary.tensors})


def assembled(halves: Halves, bottlenecks: Sequence[Bottleneck]) -> CodedHalves:
    """Put bottlenecks between the halves: encoders behind the head or in place of it, decoders before the tail.

    Args:
        halves: an exact split.
        bottlenecks: one for each tensor of codes, in the order of the boundary; together their decoders restore all that the
            tail reads.

    Raises:
        ExportError: a tensor at the cut is restored by no decoder or by two, or a bottleneck does not fit.
    """
    _check_restored(halves, bottlenecks)
    inputs = {name_of(value) for value in data_inputs(halves.head.graph)}
    replaces_head = all(name_of(one.encoder.graph.inputs[0]) in inputs for one in bottlenecks)
    head, tail = None if replaces_head else halves.head, halves.tail
    # From the last to the first: each puts its tensor in front, and the networks end up in the boundary's order.
    for index, bottleneck in reversed(list(enumerate(bottlenecks))):
        encoder, decoder = with_rounding(bottleneck, f"codes_{index}"), with_cast(bottleneck, f"codes_{index}")
        read, restored = name_of(encoder.graph.inputs[0]), name_of(decoder.graph.outputs[0])
        head = encoder if head is None else merge(head, encoder, join={} if read in inputs else {read: read})
        tail = merge(decoder, tail, join={restored: restored})
    if head is None:
        raise ExportError("a boundary needs at least one bottleneck")
    tensors = tuple(one.tensor(f"codes_{index}") for index, one in enumerate(bottlenecks))
    folding.fold_scales(head)
    return CodedHalves(head=head, tail=tail, boundary=Boundary(tensors=tensors), replaces_head=replaces_head)


def _check_restored(halves: Halves, bottlenecks: Sequence[Bottleneck]) -> None:
    wanted = sorted(map(name_of, halves.tail.graph.inputs))
    restored = sorted(name_of(one.decoder.graph.outputs[0]) for one in bottlenecks)
    if wanted != restored:
        raise ExportError(f"the tail takes {', '.join(wanted)}, the bottlenecks restore {', '.join(restored) or 'nothing'}")


def with_rounding(bottleneck: Bottleneck, codes: str) -> ir.Model:
    """The encoder with the rounding behind it, unless it gives codes itself."""
    units = bottleneck.encoder.graph.outputs[0]
    tensor = bottleneck.tensor(codes)
    data_type = ir.DataType.from_numpy(tensor.dtype)
    dimensions = (_rows(units), *bottleneck.shape)
    assert units.dtype is not None
    chain = Chain(name_of(units), units.dtype, dimensions)
    if units.dtype != data_type:
        low, high = code_range(bottleneck.bits, signed=bottleneck.signed)
        chain.then("Round").then("Clip", np.float32(low), np.float32(high)).cast(data_type)
    rounding = chain.model(codes, data_type, dimensions, opset=bottleneck.encoder.opset_imports[""])
    return merge(bottleneck.encoder, rounding, join={name_of(units): name_of(units)})


def with_cast(bottleneck: Bottleneck, codes: str) -> ir.Model:
    """The decoder with the cast before it, unless it takes codes itself."""
    values = bottleneck.decoder.graph.inputs[0]
    data_type = ir.DataType.from_numpy(bottleneck.tensor(codes).dtype)
    dimensions = (_rows(values), *bottleneck.shape)
    assert values.dtype is not None
    chain = Chain(codes, data_type, dimensions)
    if values.dtype != data_type:
        chain.cast(values.dtype)
    cast = chain.model(name_of(values), values.dtype, dimensions, opset=bottleneck.decoder.opset_imports[""])
    return merge(cast, bottleneck.decoder, join={name_of(values): name_of(values)})


def _rows(value: ir.Value) -> int | str:
    first = value.shape[0] if value.shape is not None else None
    return first if isinstance(first, int) else BATCH


def one_by_one(session: Session, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs for `pictures`, each run alone as on the device; a network of a fixed batch of 1 takes them no other way."""
    singly = [session.run({session.inputs[0]: pictures[index : index + 1]}) for index in range(len(pictures))]
    return {name: np.concatenate([answer[name] for answer in singly]) for name in session.outputs}
