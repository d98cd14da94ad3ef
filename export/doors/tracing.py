"""From torch to ONNX: what all doors that give a torch module share."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch

from isthmus.errors import ExportError
from isthmus.export.graph import weights
from isthmus.export.graph.flow import BATCH, data_inputs, name_of

EXPORT_OPSET = 18
"""What the torch exporter writes natively; `isthmus.export.graph.opset` brings it down."""

LARGEST_BATCH = 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exported:
    """An ONNX model fresh from torch, and the example inputs by the names of its inputs."""

    model: ir.Model
    feeds: dict[str, np.ndarray]


def to_onnx(
    module: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    *,
    input_names: tuple[str, ...] | None = None,
    output_names: tuple[str, ...] | None = None,
) -> Exported:
    """Export with a free batch, or with the batch of the examples where torch cannot free it.

    Args:
        module: in eval mode.
        inputs: example tensors.
        input_names: of the ONNX model; None leaves torch's.
        output_names: the same of its outputs.

    Raises:
        ExportError: torch exports it neither way; the message carries torch's reason.
    """
    wide = tuple(map(_two_rows, inputs))
    rows = {value.shape[0] for value in wide if value.ndim}
    failure: Exception | None = None
    for arguments, free in ((wide, len(rows) == 1), (inputs, False)):
        try:
            model = _export(module, arguments, free=free, names=(input_names, output_names))
        except Exception as reason:  # torch.export raises whatever the traced code and its passes raise
            failure = failure or reason
            continue
        names = [name_of(value) for value in data_inputs(model.graph)]
        if len(names) == len(arguments):
            return Exported(model=model, feeds={n: a.numpy() for n, a in zip(names, arguments, strict=True)})
        failure = failure or ValueError(f"{len(arguments)} example inputs, of which the model reads {len(names)}")
    raise ExportError(f"torch does not export {type(module).__name__}: {reason_of(failure)}{_advice(failure)}") from failure


def _advice(failure: BaseException | None) -> str:
    """What to do where Python branches on the content of a tensor; torch only says which expression it could not decide."""
    if "data-dependent" not in reason_of(failure):
        return ""
    return "; its forward branches or loops on the content of a tensor (If, Loop): write that with torch.where or torch.cond"


def reason_of(failure: BaseException | None) -> str:
    """The first line of the innermost cause; torch's own message only tells how many steps its exporter has."""
    while failure is not None and failure.__cause__ is not None:
        failure = failure.__cause__
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", str(failure)).splitlines() if line.strip()]
    return lines[0] if lines else type(failure).__name__


def _two_rows(value: torch.Tensor) -> torch.Tensor:
    """Double a single row before tracing, because torch may specialise on a dimension of 1."""
    if value.ndim == 0 or value.shape[0] != 1:
        return value
    return torch.cat([value, value.flip(-1)]) if value.ndim > 1 else value


Names = tuple[str, ...] | None


def _export(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], *, free: bool, names: tuple[Names, Names]) -> ir.Model:
    batch = torch.export.Dim(BATCH, min=1, max=LARGEST_BATCH)
    dynamic = tuple({0: batch} if value.ndim else None for value in inputs) if free else None
    with quiet(), torch.no_grad():
        return _plain(
            torch.onnx.export(
                module,
                inputs,
                dynamo=True,
                opset_version=EXPORT_OPSET,
                dynamic_shapes=dynamic,
                input_names=names[0],
                output_names=names[1],
                verbose=False,
            )
        )


def program_to_onnx(program: torch.export.ExportedProgram, inputs: tuple[torch.Tensor, ...], origin: str) -> Exported:
    """Bring an exported program to ONNX; dimensions that it leaves free stay free.

    Args:
        program: as loaded.
        inputs: its example tensors in order.
        origin: what it was read from, for messages.

    Raises:
        ExportError: torch does not do it, or the ONNX model reads fewer inputs.
    """
    try:
        with quiet(), torch.no_grad():
            model = _plain(torch.onnx.export(program, dynamo=True, opset_version=EXPORT_OPSET, verbose=False))
    except Exception as reason:  # as in `to_onnx`
        raise ExportError(f"torch does not bring {origin} to ONNX: {reason_of(reason)}") from reason
    names = [name_of(value) for value in data_inputs(model.graph)]
    if len(names) != len(inputs):
        raise ExportError(f"{origin} has {len(inputs)} example inputs, of which the model reads {len(names)}")
    return Exported(model=model, feeds={name: value.numpy() for name, value in zip(names, inputs, strict=True)})


def _plain(program: torch.onnx.ONNXProgram | None) -> ir.Model:
    if program is None:
        raise ValueError("the exporter gave nothing")
    # A round trip through protobuf leaves torch's lazy tensors and metadata behind.
    bare, kept = weights.set_aside(program.model)
    return weights.put_back(ir.from_proto(ir.to_proto(bare)), {name: _view(tensor) for name, tensor in kept.items()})


def _view(tensor: ir.TensorProtocol) -> ir.Tensor[np.ndarray]:
    """The tensor without torch, in the memory of the module where it lies there; read-only, for that reason."""
    array = tensor.numpy().view()
    array.flags.writeable = False
    return ir.Tensor(array, dtype=tensor.dtype, name=tensor.name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what the exporter prints and warns about itself; its exceptions carry what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
