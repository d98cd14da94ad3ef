"""A model that has come in, in the one form the exporter knows.

An onnx-ir model without functions, with every constant an initialiser and no initialiser among the inputs, every value and node
named, sorted, of opset 17 where the converter manages that without changing a result, its shapes inferred, float32 and with a
batch axis from outside. Its batch dimension is called `batch` if, and only if, running two batch sizes has shown that rows do not
influence each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export import preprocessing
from isthmus.export.doors import admission, batch, examples, outside
from isthmus.export.graph import opset, shapes
from isthmus.export.graph.flow import data_inputs, name_of
from isthmus.export.graph.session import Session, relative_difference, tolerance

if TYPE_CHECKING:
    import torch

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


def settle(
    model: ir.Model,
    *,
    reference: str,
    name: str,
    arrays: Mapping[str, np.ndarray] | None = None,
    module: torch.nn.Module | None = None,
    preparation: Preparation | None = None,
    labels: tuple[str, ...] = (),
) -> Source:
    """Bring a model that a door has read into the one form.

    Args:
        model: as read; changed in place.
        reference: what the user wrote.
        name: of the model.
        arrays: example inputs by input name; None makes them up.
        module: the torch module that the model came from; it is compared with it on two inputs, at two batch sizes where the
            batch is free.
        preparation: how pictures become its input, where the model brought that along.
        labels: names of its classes, where the model brought them along.

    Raises:
        ExportError: see `admission.check_model`; the model does not run; or it differs from its module.
    """
    admission.check_model(model)
    tidy(model)
    stored = [value.dtype for value in data_inputs(model.graph)]
    if module is not None and arrays is not None:
        _check(module, model, arrays)
    takes_bytes = outside.as_float32(model)
    batch.name_batch(model)
    shapes.infer(model)
    feeds = examples.that_run(model) if arrays is None else _retyped(model, arrays)
    model = _at_bundle_opset(model, feeds)
    model, feeds, dynamic = batch.settle(model, feeds)
    has_batch = True
    if not dynamic and outside.is_picture_without_batch(model.graph):
        model, feeds, has_batch = _with_batch(model, feeds)
        dynamic = has_batch
        module = None if module is None else _facade().WithBatch(module)
    if module is not None and [value.dtype for value in data_inputs(model.graph)] != stored:
        module = _facade().Float32(module, tuple(map(_torch_type, data_inputs(model.graph), stored)))
    wider = batch.more_rows(model, feeds) if dynamic else None
    if module is not None:
        _check(module, model, wider or examples.turned(feeds))
    shapes.measure(model, feeds, wider)
    return Source(
        model=model,
        name=name,
        reference=reference,
        torch_module=module,
        example_inputs=tuple(feeds.values()),
        dynamic_batch=dynamic,
        has_batch=has_batch,
        preparation=preparation or (preprocessing.of_bytes(model) if takes_bytes else None),
        labels=labels,
    )


def _check(module: torch.nn.Module, model: ir.Model, arrays: Mapping[str, np.ndarray]) -> None:
    from isthmus.export.doors import equality  # torch is slow to import, and where there is no module it is not needed

    equality.check_equal(module, model, arrays)


def _facade() -> ModuleType:
    from isthmus.export.doors import facade  # as above

    return facade


def _torch_type(value: ir.Value, stored: ir.DataType | None) -> torch.dtype | None:
    """What a torch module takes where its ONNX model now takes float32; None where nothing was changed."""
    import torch

    if stored is None or value.dtype == stored:
        return None
    found: torch.dtype = getattr(torch, {"DOUBLE": "float64"}.get(stored.name, stored.name.lower()))
    return found


def _retyped(model: ir.Model, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in the types that the inputs have now."""
    types = {name_of(value): value.dtype for value in data_inputs(model.graph)}
    return {name: array.astype(dtype.numpy()) for name, array in arrays.items() if (dtype := types[name]) is not None}


def _with_batch(model: ir.Model, arrays: dict[str, np.ndarray]) -> tuple[ir.Model, dict[str, np.ndarray], bool]:
    """The model with an axis for the batch, arrays for it, and whether everything inside has that axis too and it is free."""
    wrapped = outside.with_batch(model)
    shapes.infer(wrapped)
    feeds = {name: array[np.newaxis] for name, array in arrays.items()}
    direct, several, dynamic = batch.settle(outside.without_round_trips(wrapped), feeds)
    if dynamic and batch.rows_are_independent(wrapped, direct, several):
        return direct, several, True
    return wrapped, feeds, False


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
        answers = [_answers(one, (arrays, spread)) for one in (model, other)]
    except ExportError:
        return False
    allowed = tolerance(model, OPSET_TOLERANCE)
    return all(relative_difference(got, want) <= allowed for want, got in zip(*answers, strict=True))


def _answers(model: ir.Model, several: tuple[dict[str, np.ndarray], ...]) -> list[list[np.ndarray]]:
    """What a model gives on several feeds; the session ends here, for two at a time would hold the weights twice."""
    session = Session(model)
    return [list(session.run(feeds).values()) for feeds in several]
