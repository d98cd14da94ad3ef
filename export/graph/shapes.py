"""Shapes and types of every value: inferred by the onnx package, measured by running where it does not know an operator."""

import logging

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from isthmus.errors import ExportError
from isthmus.export.graph.flow import BATCH, analyse, data_inputs, name_of
from isthmus.export.graph.session import Session

Arrays = dict[str, np.ndarray]


INVENTED = "unk__"
"""Prefix of the names that onnx gives to dimensions it could not infer; they say nothing and are dropped."""


def infer(model: ir.Model) -> None:
    """Fill in place what onnx shape inference can tell; what it cannot stays unknown."""
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        passes.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    finally:
        logger.setLevel(level)
    for node in model.graph:
        for value in node.outputs:
            if value.shape is not None and any(map(_is_invented, value.shape)):
                value.shape = ir.Shape([None if _is_invented(size) else size for size in value.shape])


def _is_invented(size: int | ir.SymbolicDim) -> bool:
    return not isinstance(size, int) and size.value is not None and INVENTED in size.value


def forget(model: ir.Model) -> None:
    """Drop the shape of everything that is computed, in place; inputs, initialisers, dtypes and the ranks of outputs stay."""
    outputs = set(model.graph.outputs)
    for node in model.graph:
        for value in node.outputs:
            keep_rank = value in outputs and value.shape is not None
            value.shape = ir.Shape([None] * len(value.shape or ())) if keep_rank else None


def measure(model: ir.Model, arrays: Arrays, wider: Arrays | None = None) -> None:
    """Fill in place the shapes and types that inference left open on data values, by running the model.

    Operators outside the ONNX standard (quantised kernels of onnxruntime) have no inference, and some patterns of shape
    arithmetic defeat it. Where the model has a free dimension other than the batch nothing but type and rank is believed.

    Args:
        model: with inferred shapes.
        arrays: by input name; the model runs on them.
        wider: the same with more rows, where the batch is free: what grows with it is the batch.
    """
    unknown = [name_of(value) for value in analyse(model.graph).data if _is_open(value)]
    free = {size for value in data_inputs(model.graph) for size in value.shape or () if not isinstance(size, int)}
    only_batch = all(size.value == BATCH for size in free)
    found = _run_all(model, unknown, arrays) if unknown else {}
    other = _run_all(model, unknown, wider) if unknown and wider is not None else found
    values = ir.convenience.create_value_mapping(model.graph)
    for name in found.keys() & other.keys():
        value, array = values[name], found[name]
        value.dtype = ir.DataType.from_numpy(array.dtype)
        if only_batch:
            value.shape = _compared(array.shape, other[name].shape, _rows(arrays), _rows(wider or arrays))
        elif value.shape is None:
            value.shape = ir.Shape([None] * array.ndim)


def _is_open(value: ir.Value) -> bool:
    if value.dtype in {None, ir.DataType.UNDEFINED} or value.shape is None:
        return not isinstance(value.type, (ir.SequenceType, ir.OptionalType))
    return any(not isinstance(size, int) and size.value is None for size in value.shape)


def _rows(arrays: Arrays) -> int:
    first = next(iter(arrays.values()))
    return first.shape[0] if first.ndim else 1


def _compared(sizes: tuple[int, ...], others: tuple[int, ...], rows: int, other_rows: int) -> ir.Shape:
    """Sizes seen twice: equal ones are fixed, those that went along with the rows are the batch, the rest is unknown."""
    dimensions: list[int | str | None] = []
    for size, other in zip(sizes, others, strict=True):
        if size == other:
            dimensions.append(size)
        elif size * other_rows == other * rows and size % rows == 0:
            dimensions.append(BATCH if size == rows else f"{size // rows}*{BATCH}")
        else:
            dimensions.append(None)
    return ir.Shape(dimensions)


def _run_all(model: ir.Model, names: list[str], arrays: Arrays) -> dict[str, np.ndarray]:
    """Values of any names in the model; empty when onnxruntime cannot give them."""
    probe = model.clone()
    values = ir.convenience.create_value_mapping(probe.graph)
    present = set(map(name_of, probe.graph.outputs))
    probe.graph.outputs.extend(values[name] for name in names if name not in present)
    try:
        results = Session(probe).run(arrays)
    except ExportError:
        return {}
    return {name: results[name] for name in names if isinstance(results.get(name), np.ndarray)}
