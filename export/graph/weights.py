"""Weights outside of the protobuf message: kept in their file, lent to onnxruntime, written beside the graph.

A protobuf message ends at 2 GiB, and every step that puts weights into one copies them: into the message, into its bytes, out of
these again. So weights travel beside it. Large files are never read as a whole: their tensors stay memory-mapped where they are,
and each of the two halves is written from there.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from isthmus.export.graph.flow import name_of

LARGE_BYTES = 1_500_000_000
"""Weights above this stay in their file and are written to one beside the graph; protobuf itself stops at 2 GiB."""

SMALL_TENSOR_BYTES = 1024
"""Tensors up to this stay in the message: shapes and axes, whose values onnxruntime wants to see while it reads the graph."""

SUFFIX = ".data"
"""`tail.onnx` has its weights in `tail.onnx.data`."""

LENT = frozenset(map(np.dtype, ("f4", "f8", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")))
"""Types that onnxruntime takes as arrays; it knows the others (bfloat16, 4-bit numbers) only from the message."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlined:
    """A model without its weights.

    Attributes:
        graph: the serialised message, with markers in place of the large tensors.
        lent: per marked initialiser its array, a view of where it lies; not copied.
        folder: where the marked tensors that are in no array are to be read from; None if there are none.
    """

    graph: bytes
    lent: dict[str, np.ndarray]
    folder: Path | None


def total_bytes(model: ir.Model) -> int:
    """Bytes of all initialisers of a model."""
    return sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)


def settle(model: ir.Model) -> ir.Model:
    """Read weights that lie beside the graph into memory, in place, unless they are large."""
    return model if total_bytes(model) > LARGE_BYTES else ir.external_data.load_to_model(model)


def outlined(model: ir.Model) -> Outlined:
    """Part a model into its graph and its weights, copying neither."""
    bare = model.clone()
    folders = {str(tensor.base_dir) for tensor in _external(bare)}
    folder = folders.pop() if len(folders) == 1 else None
    lent: dict[str, np.ndarray] = {}
    for value in bare.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or (isinstance(tensor, ir.ExternalTensor) and folder is not None):
            continue
        if tensor.nbytes > SMALL_TENSOR_BYTES and tensor.dtype.numpy() in LENT:
            lent[name_of(value)] = np.ascontiguousarray(tensor.numpy())
            value.const_value = _marker(value, tensor)
        elif isinstance(tensor, ir.ExternalTensor):
            value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    return Outlined(graph=ir.to_proto(bare).SerializeToString(), lent=lent, folder=None if folder is None else Path(folder))


def _external(model: ir.Model) -> list[ir.ExternalTensor]:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return [tensor for tensor in tensors if isinstance(tensor, ir.ExternalTensor)]


def _marker(value: ir.Value, tensor: ir.TensorProtocol) -> ir.ExternalTensor:
    shape = ir.Shape(tensor.shape.numpy())
    return ir.ExternalTensor("lent", 0, tensor.nbytes, tensor.dtype, shape=shape, name=name_of(value), base_dir="")


def set_aside(model: ir.Model) -> tuple[ir.Model, dict[str, ir.TensorProtocol]]:
    """A copy in which large initialisers are inputs, for steps that go through protobuf; and what these hold, not copied."""
    bare = model.clone()
    kept: dict[str, ir.TensorProtocol] = {}
    for name, value in list(bare.graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > SMALL_TENSOR_BYTES and not value.is_graph_output():
            kept[name] = tensor
            bare.graph.inputs.append(bare.graph.initializers.pop(name))
            value.const_value = None
    return bare, kept


def put_back(model: ir.Model, kept: dict[str, ir.TensorProtocol]) -> ir.Model:
    """Undo `set_aside`, in place, on what came of the copy."""
    for value in [value for value in model.graph.inputs if value.name in kept]:
        model.graph.inputs.remove(value)
        value.const_value = kept[name_of(value)]
        model.graph.register_initializer(value)
    return model


def save(model: ir.Model, path: Path) -> None:
    """Write a model with its own weights only: within the file, or to one of the same name and SUFFIX beside it if large."""
    if total_bytes(model) > LARGE_BYTES:
        ir.save(model, path, external_data=f"{path.name}{SUFFIX}")
    else:
        ir.save(ir.external_data.load_to_model(model.clone()) if _external(model) else model, path)
