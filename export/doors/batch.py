"""Is the batch dimension of a model free, and can it be made so?

A model that declares a free batch may have it baked into a constant (a `Reshape` to `[1, -1]`), and one that declares
batch 1 often works for any. The declaration is therefore not believed either way: the model runs on several rows at
once and on each alone, and the answers are compared row by row.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.doors import baked
from isthmus.export.graph import shapes
from isthmus.export.graph.flow import BATCH, batch_symbol, data_inputs, name_of
from isthmus.export.graph.session import Session, relative_difference, tolerance

ROW_TOLERANCE = 1e-4
"""Largest relative difference between a row alone and in company; batched kernels sum in another order."""

Arrays = dict[str, np.ndarray]


def name_batch(model: ir.Model) -> None:
    """Call the free first dimension of the inputs `batch`, in place: the first input's name for it, and unnamed ones."""
    symbol = batch_symbol(model.graph)
    free = [value for value in data_inputs(model.graph) if _first(value) is not None and not isinstance(_first(value), int)]
    if not free:
        return
    for value in (*data_inputs(model.graph), *model.graph.outputs):
        _rename(value, symbol, unnamed_too=value in free)
    shapes.forget(model)


def _first(value: ir.Value) -> int | ir.SymbolicDim | None:
    return value.shape[0] if value.shape is not None and len(value.shape) > 0 else None


def _rename(value: ir.Value, symbol: str | None, *, unnamed_too: bool) -> None:
    if value.shape is None:
        return
    sizes: list[int | str | None] = [size if isinstance(size, int) else size.value for size in value.shape]
    renamed = [BATCH if symbol is not None and size == symbol else size for size in sizes]
    if unnamed_too and renamed and renamed[0] is None:
        renamed[0] = BATCH
    value.shape = ir.Shape(renamed)


def settle(model: ir.Model, arrays: Arrays) -> tuple[ir.Model, Arrays, bool]:
    """Make the batch free if that proves right, fixed if not.

    Args:
        model: with inferred shapes; may be changed in place.
        arrays: by input name; the model runs on them.

    Returns:
        The model, arrays on which it runs (two rows where the batch is free), and whether the batch is free.
    """
    if batch_symbol(model.graph) == BATCH:
        wider = arrays if _rows(model, arrays) > 1 else more_rows(model, arrays)
        if rows_are_independent(model, model, wider):
            return model, wider, True
        _fix_batch(model, _rows(model, arrays))
        return model, arrays, False
    if not all(_first(value) == 1 for value in data_inputs(model.graph)):
        return model, arrays, False
    for repair in (False, True):
        candidate = _freed(model, repair=repair)
        wider = more_rows(candidate, arrays)
        if rows_are_independent(model, candidate, wider):
            return candidate, wider, True
    return model, arrays, False


def _batched(model: ir.Model) -> dict[str, int]:
    """Per input name the axis that is the batch."""
    axes = {}
    for value in data_inputs(model.graph):
        for axis, size in zip(range(len(value.shape or ())), value.shape or (), strict=True):
            if not isinstance(size, int) and size.value == BATCH:
                axes[name_of(value)] = axis
    return axes


def _rows(model: ir.Model, arrays: Mapping[str, np.ndarray]) -> int:
    name, axis = next(iter(_batched(model).items()))
    return int(arrays[name].shape[axis])


def more_rows(model: ir.Model, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The same arrays with one row more: the first one with its elements in reverse order, so that it differs."""
    axes = _batched(model)
    return {name: _with_reversed_row(array, axes[name]) if name in axes else array for name, array in arrays.items()}


def _with_reversed_row(array: np.ndarray, axis: int) -> np.ndarray:
    first = np.take(array, [0], axis=axis)
    return np.concatenate([array, first.reshape(-1)[::-1].reshape(first.shape)], axis=axis)


def rows_are_independent(single: ir.Model, several: ir.Model, arrays: Arrays) -> bool:
    """True when `several` on all rows gives what `single` gives on each alone."""
    axes = _batched(several)
    count = _rows(several, arrays)
    try:
        together = Session(several).run(arrays)  # and this session ends before the next holds the weights too
        session = Session(single)
        alone = [session.run({name: _row(array, axes.get(name), row) for name, array in arrays.items()}) for row in range(count)]
    except ExportError:
        return False
    allowed = tolerance(single, ROW_TOLERANCE)
    return all(_difference(together[name], [answer[name] for answer in alone]) <= allowed for name in together)


def _row(array: np.ndarray, axis: int | None, row: int) -> np.ndarray:
    return array if axis is None else np.take(array, [row], axis=axis)


def _difference(together: np.ndarray, alone: list[np.ndarray]) -> float:
    """Compare along the first axis of which every row has one and all rows have the whole; infinite where there is none."""
    if all(part.ndim == together.ndim for part in alone):
        for axis in range(together.ndim):
            if any(part.shape[axis] != 1 for part in alone):
                continue  # several rows for one input row could not be told apart by whoever takes a batch to pieces
            joined = _joined(alone, axis)
            if joined is not None and joined.shape == together.shape:
                return relative_difference([together], [joined])
    return float("inf")


def _joined(parts: list[np.ndarray], axis: int) -> np.ndarray | None:
    try:
        return np.concatenate(parts, axis=axis)
    except ValueError:
        return None


def _fix_batch(model: ir.Model, rows: int) -> None:
    """Declare the batch that works instead of a free one that does not."""
    for value in (*data_inputs(model.graph), *model.graph.outputs):
        if value.shape is not None:
            value.shape = ir.Shape([_pinned(size, rows) for size in value.shape])
    shapes.forget(model)
    shapes.infer(model)


def _pinned(size: int | ir.SymbolicDim, rows: int) -> int | str | None:
    if isinstance(size, int):
        return size
    return rows if size.value == BATCH else size.value


def _freed(model: ir.Model, *, repair: bool) -> ir.Model:
    """A copy whose inputs have a free batch, and optionally whose constants do not hold it any more."""
    candidate = model.clone()
    for value in data_inputs(candidate.graph):
        value.shape = ir.Shape([BATCH, *list(value.shape or ())[1:]])
    if repair:
        baked.free(candidate)
    shapes.forget(candidate)
    shapes.infer(candidate)
    return candidate
