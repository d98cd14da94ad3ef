"""The `.pt2` door: a program that `torch.export.save` has written, with its example inputs."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree

from isthmus.errors import ExportError
from isthmus.export.doors import tracing
from isthmus.export.doors.tracing import Exported, quiet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """An exported program.

    Attributes:
        module: takes tensors in order; equal to the program.
        exported: its ONNX form and the example inputs it came with. What the program leaves free stays free.
    """

    module: torch.nn.Module
    exported: Exported


class _Ordered(torch.nn.Module):
    """Tensors in order, given to a program as it wants them: nested, by keyword, one row at a time if need be."""

    def __init__(self, module: torch.nn.Module, form: _pytree.TreeSpec, *, one_row: bool) -> None:
        super().__init__()
        self.module, self.form, self.one_row = module, form, one_row

    def forward(self, *tensors: torch.Tensor) -> Any:  # noqa: ANN401
        """The answer of the program."""
        if self.one_row and len(tensors[0]) > 1:
            answers = [self._call(*(tensor[row : row + 1] for tensor in tensors)) for row in range(len(tensors[0]))]
            return _pytree.tree_map(lambda *rows: torch.cat(rows), *answers)
        return self._call(*tensors)

    def _call(self, *tensors: torch.Tensor) -> Any:  # noqa: ANN401
        arguments, keywords = _pytree.tree_unflatten(tensors, self.form)
        return self.module(*arguments, **keywords)


def read(path: Path) -> Program:
    """Load a program and bring it to ONNX.

    Raises:
        ExportError: the file is damaged or was made by another torch, has no example inputs, or torch does not bring it to ONNX.
    """
    if not zipfile.is_zipfile(path):
        raise ExportError(f"{path} is damaged or no program that torch.export.save has written: it is no zip")
    try:
        with quiet():
            program = torch.export.load(path)
    except Exception as reason:  # torch raises what its unpickler, its schema and its passes raise
        raise ExportError(f"{path} cannot be loaded by torch {torch.__version__}: {tracing.reason_of(reason)}") from reason
    if program.example_inputs is None:
        raise ExportError(f"{path} holds no example inputs; save it again without removing them")
    leaves, form = _pytree.tree_flatten(program.example_inputs)
    if not leaves or not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"
        raise ExportError(f"{path} takes {kinds}; only tensors can be sent to a model")
    inputs = tuple(leaf.detach().cpu() for leaf in leaves)
    module = _Ordered(program.module(), form, one_row=_takes_one_row(program))
    return Program(module=module, exported=tracing.program_to_onnx(program, inputs, str(path)))


def _takes_one_row(program: torch.export.ExportedProgram) -> bool:
    """True when every input has a fixed first dimension of one."""
    wanted = set(program.graph_signature.user_inputs)
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]
    return all(value.ndim > 0 and isinstance(value.shape[0], int) and value.shape[0] == 1 for value in values)
