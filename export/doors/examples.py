"""Arrays to run a model on when nobody gave any, made from its declared inputs and always the same."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from isthmus.errors import ExportError, NoEnd
from isthmus.export.graph.flow import BATCH, data_inputs, name_of
from isthmus.export.graph.session import Session

ROWS = 2
"""Batch of made-up arrays: the smallest at which a mix-up of rows shows."""

FREE_SIZES = (64, 224, 16, 1, 512)
"""Sizes tried, in this order, for free dimensions other than the batch; networks with pooling need some room, others fail
on more than a few steps."""


def that_run(model: ir.Model) -> dict[str, np.ndarray]:
    """Return arrays by input name on which onnxruntime runs the model.

    Raises:
        ExportError: onnxruntime does not load the model, or runs it on none of the sizes tried; or memory has no room for arrays.
        NoEnd: it has a loop that does not end.
    """
    session = Session(model)
    failure: ExportError | None = None
    for rows, size in _sizes(model.graph):
        arrays = _held(model.graph, rows, size)
        try:
            session.run(arrays)
        except NoEnd:
            raise  # nor would it end on other sizes, and each costs a minute
        except ExportError as reason:
            failure = failure or reason
        else:
            return arrays
    declared = ", ".join(f"{name_of(value)} {value.shape}" for value in data_inputs(model.graph))
    raise ExportError(f"{failure} when fed arrays of the declared shapes ({declared}); fix the free dimensions in the file")


def _held(graph: ir.Graph, rows: int, size: int) -> dict[str, np.ndarray]:
    try:
        return made(graph, rows=rows, size=size)
    except (MemoryError, ValueError) as reason:  # numpy's, for more than there is and for more than it can count
        declared = ", ".join(f"{name_of(value)} {value.shape}" for value in data_inputs(graph))
        raise ExportError(f"this machine has no room for {rows} rows of the model's input ({declared}): {reason}") from reason


def _sizes(graph: ir.Graph) -> Iterator[tuple[int, int]]:
    names = {size.value for value in data_inputs(graph) for size in value.shape or () if not isinstance(size, int)}
    for size in FREE_SIZES if names - {BATCH} else FREE_SIZES[:1]:
        yield from ((rows, size) for rows in ((ROWS, 1) if BATCH in names else (ROWS,)))


def made(graph: ir.Graph, *, rows: int, size: int) -> dict[str, np.ndarray]:
    """Arrays for every fed input, from a fixed seed.

    Floats are uniform in 0..1, or whole numbers up to 255 where the model makes them integers at once; integers and truth values
    are 0 and 1.
    """
    generator = np.random.default_rng(0)
    return {name_of(value): _array(value, rows, size, generator) for value in data_inputs(graph)}


def turned(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Other arrays of the same shapes and values: each with its elements in reverse order."""
    return {name: np.ascontiguousarray(array.reshape(-1)[::-1].reshape(array.shape)) for name, array in arrays.items()}


def _array(value: ir.Value, rows: int, size: int, generator: np.random.Generator) -> np.ndarray:
    sizes = [_fixed(dimension, rows, size) for dimension in value.shape or ()]
    dtype = ir.DataType.FLOAT if value.dtype is None else value.dtype
    if _is_cast_to_integer(value):
        return generator.integers(0, 256, sizes).astype(dtype.numpy())
    if dtype.is_floating_point():
        return generator.random(sizes, dtype=np.float32).astype(dtype.numpy())
    return generator.integers(0, 2, sizes).astype(dtype.numpy())


def _is_cast_to_integer(value: ir.Value) -> bool:
    """True for a picture of bytes behind a `Cast`, see `isthmus.export.doors.outside`; fractions of one would all become 0."""
    readers = [node for node, _index in value.uses()]
    results = [node.outputs[0].dtype for node in readers if node.op_type == "Cast"]
    return len(results) == len(readers) > 0 and all(dtype is not None and dtype.is_integer() for dtype in results)


def _fixed(dimension: int | ir.SymbolicDim, rows: int, size: int) -> int:
    if isinstance(dimension, int):
        return dimension
    return rows if dimension.value == BATCH else size
