"""From a cut and a bottleneck to the two networks that go into a bundle: head gives codes, tail takes codes."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from isthmus.contract.boundary import Boundary, CodeTensor
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export import factory, opset, quantizer
from isthmus.export.distill import Learned
from isthmus.export.graph import dimensions, name_of
from isthmus.export.merge import merge
from isthmus.export.quantizer import Quantizer, calibrate
from isthmus.export.samples import Samples, prepared
from isthmus.export.session import Session
from isthmus.export.split import Halves

CALIBRATION_SAMPLES = 128
"""More samples move the chosen scales by less than a step of the search."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodedHalves:
    """Both networks of a bundle.

    Attributes:
        head: picture -> codes, int8 or uint8[batch, *shape] by the names of the boundary.
        tail: codes -> outputs of the source network.
        boundary: what crosses.
    """

    head: ir.Model
    tail: ir.Model
    boundary: Boundary

    def joined(self) -> ir.Model:
        """Head and tail as one network: the modified, quantised whole."""
        return merge(self.head, self.tail, join={tensor.name: tensor.name for tensor in self.boundary.tensors})


def quantised(halves: Halves, samples: Samples, preparation: Preparation, *, bits: int) -> CodedHalves:
    """Put a quantiser on every tensor that crosses; nothing is trained.

    Args:
        halves: an exact split.
        samples: pictures to calibrate on.
        preparation: how they become the input.
        bits: of a code.

    Raises:
        ExportError: something other than float tensors of fixed size crosses.
    """
    if halves.auxiliary or len(halves.tail.graph.inputs) != len(halves.head.graph.outputs):
        crossing = ", ".join([*halves.auxiliary, *(name_of(value) for value in halves.tail.graph.inputs)])
        raise ExportError(f"this cut lets shapes or inputs cross beside the tensors ({crossing}); name another cut")
    session = Session(halves.head, threads=2)
    few = samples.part(np.arange(min(CALIBRATION_SAMPLES, len(samples))))
    values = one_by_one(session, prepared(few.pictures, preparation))
    head, tail = halves.head, halves.tail
    version = head.opset_imports[""]
    tensors: list[CodeTensor] = []
    # From the last to the first: each fence puts its tensor in front, and the networks end up in the boundary's order.
    for index, value in reversed(list(enumerate(halves.head.graph.outputs))):
        shape = dimensions(value)
        if shape is None or value.dtype != ir.DataType.FLOAT or len(shape) < 2:
            raise ExportError(
                f"tensor {name_of(value)} at the cut is {value.dtype}{value.shape}; name a cut of float tensors of fixed size"
            )
        chosen = calibrate(values[name_of(value)], bits)
        codes = f"codes_{index}"
        tensors.insert(0, chosen.tensor(codes, shape[1:]))
        head, tail = _fence(head, tail, chosen, name_of(value), codes, shape[1:], version)
    return CodedHalves(head=head, tail=tail, boundary=Boundary(tensors=tuple(tensors)))


def one_by_one(session: Session, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs for `pictures`, each run alone as on the device; a network of a fixed batch of 1 takes them no other way."""
    singly = [session.run({session.inputs[0]: pictures[index : index + 1]}) for index in range(len(pictures))]
    return {name: np.concatenate([answer[name] for answer in singly]) for name in session.outputs}


def _fence(
    head: ir.Model, tail: ir.Model, chosen: Quantizer, tensor: str, codes: str, shape: tuple[int, ...], version: int
) -> tuple[ir.Model, ir.Model]:
    """Quantise `tensor` at the end of the head and restore it at the start of the tail."""
    into = quantizer.quantizing_model(chosen, source=tensor, codes=codes, shape=shape, opset=version)
    back = quantizer.dequantizing_model(chosen, codes=codes, target=tensor, shape=shape, opset=version)
    return merge(head, into, join={tensor: tensor}), merge(back, tail, join={tensor: tensor})


def replaced(halves: Halves, learned: Learned, preparation: Preparation) -> CodedHalves:
    """Put a trained encoder in place of the head and its decoder before the tail.

    Raises:
        ExportError: torch cannot export one of the modules.
    """
    cut = halves.head.graph.outputs[0]
    source = halves.head.graph.inputs[0]
    version = halves.tail.opset_imports[""]
    channels = learned.encoder.narrow.out_channels
    shape = (channels, *learned.grid)
    bits = (learned.code_range[1] - learned.code_range[0]).bit_length()
    steps = Quantizer(scale=np.ones(channels, dtype=np.float32), bits=bits, signed=True)
    encoder = _as_onnx(learned.encoder, preparation.shape[1:], name_of(source), "units", version)
    decoder = _as_onnx(learned.decoder, shape, "code_values", "restored", version)
    into = quantizer.quantizing_model(steps, source="units", codes="codes_0", shape=shape, opset=version)
    back = quantizer.dequantizing_model(steps, codes="codes_0", target="code_values", shape=shape, opset=version)
    head = merge(encoder, into, join={"units": "units"})
    restored = merge(back, decoder, join={"code_values": "code_values"})
    tail = merge(restored, halves.tail, join={"restored": name_of(cut)})
    return CodedHalves(head=head, tail=tail, boundary=Boundary(tensors=(steps.tensor("codes_0", shape),)))


def _as_onnx(module: nn.Module, shape: tuple[int, ...], source: str, target: str, version: int) -> ir.Model:
    example = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    exported = factory.to_onnx(module.eval(), (example,))
    model = opset.converted(exported.model, version) if exported.model.opset_imports[""] != version else exported.model
    model = model or exported.model
    factory.check_equal(module, model, exported.feeds)
    _rename(model, model.graph.inputs[0], source)
    _rename(model, model.graph.outputs[0], target)
    return model


def _rename(model: ir.Model, value: ir.Value, name: str) -> None:
    for node in model.graph:
        for other in node.outputs:
            if other.name == name and other is not value:
                other.name = f"{name}_inner"
    value.name = name
