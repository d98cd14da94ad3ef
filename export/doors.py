"""How a model comes in.

    path/to/model.onnx        an ONNX file, its weights inside or beside it
    package.module:factory    a function giving `(torch.nn.Module, example_inputs)`; the current directory is importable

Whatever the door, what comes out is one `Source`: an onnx-ir model without functions, with every constant an initialiser and
no initialiser among the inputs, every value and node named, sorted, of opset 17 or newer where the converter manages that
without changing a result, its shapes inferred, and its batch dimension called `batch` if, and only if, running two batch sizes
has shown that rows do not influence each other.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError, NotBuiltYet, UsageError
from isthmus.export import batch, examples, opset, shapes, weights
from isthmus.export.graph import data_inputs, name_of, subgraphs
from isthmus.export.session import Session, relative_difference

if TYPE_CHECKING:
    import torch

KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator domains that onnxruntime carries without a custom-op library."""

OPSET_TOLERANCE = 1e-4
"""Largest relative difference between a model and itself at another opset; kernels may be reordered, values may not move."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A model that has come in.

    Attributes:
        model: the ONNX model as the head of this module says.
        name: stem of the file, or name of the factory.
        reference: what the user wrote.
        torch_module: the module behind a factory, in eval mode; None for a file.
        example_inputs: one array per fed input in their order, of batch 2 where the batch is dynamic; from the factory, or made
            from the declared shapes. The model runs on them.
        dynamic_batch: rows can be batched freely, checked by running two batch sizes.
        has_batch: values inside the model carry the batch on axis 0. False where the file knew no batch: its input and outputs
            then got an axis of one in front, and nothing between them has it.
        preparation: how the model's own preprocessing file says a picture becomes its input; None where nothing says so.
        labels: names of its classes in the order of its scores, as the model's own configuration has them; else empty.
    """

    model: ir.Model
    name: str
    reference: str
    torch_module: torch.nn.Module | None
    example_inputs: tuple[np.ndarray, ...]
    dynamic_batch: bool
    has_batch: bool = True
    preparation: Preparation | None = None
    labels: tuple[str, ...] = ()


def open_model(reference: str) -> Source:
    """Open the model that `reference` names.

    Raises:
        UsageError: `reference` names nothing that can be opened; the message says what would.
        NotBuiltYet: a door that this version does not have.
        ExportError: the model is damaged, has no inputs, takes strings, needs operators from outside, or does not run.
    """
    suffix = Path(reference).suffix.lower()
    if suffix == ".onnx":
        return _from_file(reference)
    if suffix == ".pt2":
        raise NotBuiltYet(f"{reference}: a .pt2 program cannot be opened yet; give its ONNX file or package.module:factory")
    if suffix in {".pt", ".pth"}:
        raise UsageError(f"{reference}: make its ONNX first and give that; for YOLO: yolo export model={reference} format=onnx")
    if Path(reference).is_dir():
        raise NotBuiltYet(f"{reference}: a model folder cannot be opened yet; give an ONNX file or package.module:factory")
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", reference):
        return _from_factory(reference)
    raise UsageError(f"{reference!r} is neither a .onnx file nor package.module:factory")


def _from_file(reference: str) -> Source:
    path = Path(reference)
    if not path.is_file():
        raise ExportError(f"there is no model file {reference}")
    model = _read(path)
    _refuse(model)
    tidy(model)
    batch.name_batch(model)
    shapes.infer(model)
    arrays = examples.that_run(model)
    model = _at_bundle_opset(model, arrays)
    model, arrays, dynamic = batch.settle(model, arrays)
    shapes.measure(model, arrays, batch.more_rows(model, arrays) if dynamic else None)
    return Source(
        model=model,
        name=path.stem,
        reference=reference,
        torch_module=None,
        example_inputs=tuple(arrays.values()),
        dynamic_batch=dynamic,
    )


def _from_factory(reference: str) -> Source:
    from isthmus.export import factory  # torch is slow to import and an .onnx does not need it

    module, arrays = factory.build(reference)
    exported = factory.to_onnx(module, arrays)
    model, feeds = exported.model, exported.feeds
    _refuse(model)
    tidy(model)
    batch.name_batch(model)
    shapes.infer(model)
    factory.check_equal(module, model, feeds)
    model = _at_bundle_opset(model, feeds)
    model, feeds, dynamic = batch.settle(model, feeds)
    if dynamic:
        factory.check_equal(module, model, batch.more_rows(model, feeds))
    shapes.measure(model, feeds, batch.more_rows(model, feeds) if dynamic else None)
    return Source(
        model=model,
        name=reference.partition(":")[2],
        reference=reference,
        torch_module=module,
        example_inputs=tuple(feeds.values()),
        dynamic_batch=dynamic,
    )


def _read(path: Path) -> ir.Model:
    """Parse and check a file; weights beside it stay there if they are large.

    The checker also refuses weights that lie outside the folder of the model.
    """
    try:
        onnx.checker.check_model(os.fspath(path))
        return weights.settle(ir.load(path))
    except Exception as reason:
        lines = str(reason).strip().splitlines() or [type(reason).__name__]
        raise ExportError(f"{path} is not a sound ONNX file: {lines[0]}") from reason


def _refuse(model: ir.Model) -> None:
    """Turn away what can never be split: no inputs, inputs that are no numbers, operators nobody here can run."""
    own = {identifier[0] for identifier in model.functions}
    for node in _all_nodes(model.graph):
        if node.domain not in KNOWN_DOMAINS | own:
            raise ExportError(
                f"operator {node.domain}.{node.op_type} (node {node.name or '?'}) needs a custom-op library; export the model "
                "without it"
            )
    inputs = data_inputs(model.graph)
    if not inputs:
        raise ExportError("the model has no inputs, so nothing can be sent to it")
    for value in inputs:
        if not isinstance(value.type, ir.TensorType):
            raise ExportError(f"input {name_of(value)!r} is a sequence or an optional, not a tensor")
        if value.dtype in {None, ir.DataType.UNDEFINED, ir.DataType.STRING}:
            raise ExportError(f"input {name_of(value)!r} holds strings or no declared type; only numbers can cross")


def _all_nodes(graph: ir.Graph) -> list[ir.Node]:
    """Nodes of a graph and of every control-flow body in it."""
    nodes = list(graph)
    for node in list(nodes):
        for body in subgraphs(node):
            nodes.extend(_all_nodes(body))
    return nodes


def tidy(model: ir.Model) -> None:
    """Bring a model in place into the one form the exporter knows, without changing what it computes."""
    for change in (
        passes.RemoveInitializersFromInputsPass(),
        passes.InlinePass(),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.RemoveUnusedNodesPass(),
        passes.TopologicalSortPass(),
        passes.NameFixPass(),
    ):
        change(model)
    for number, node in zip(range(len(model.graph)), model.graph, strict=True):
        node.name = node.name or f"{node.op_type}_{number}"
    model.opset_imports.setdefault("", opset.OPSET)
    model.ir_version = max(model.ir_version, opset.LEAST_IR_VERSION)


def _at_bundle_opset(model: ir.Model, arrays: dict[str, np.ndarray]) -> ir.Model:
    """The model at opset 17 if the converter brings it there and it gives the same answers; else itself."""
    version = model.opset_imports[""]
    if version == opset.OPSET or version > opset.NEWEST_LOWERED:
        return model
    other = opset.converted(model, opset.OPSET)
    if other is None:
        return model
    tidy(other)
    shapes.infer(other)
    return other if _answer_alike(model, other, arrays) else model


def _answer_alike(model: ir.Model, other: ir.Model, arrays: dict[str, np.ndarray]) -> bool:
    """True when both answer alike on the arrays, and on the same spread over both signs where they are floats."""
    spread = {name: array * 4 - 2 if array.dtype.kind == "f" else array for name, array in arrays.items()}
    try:
        before, after = Session(model), Session(other)
        pairs = [(list(after.run(feeds).values()), list(before.run(feeds).values())) for feeds in (arrays, spread)]
    except ExportError:
        return False
    return all(relative_difference(got, want) <= OPSET_TOLERANCE for got, want in pairs)
