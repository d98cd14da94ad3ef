"""An ONNX file written as it grows: nodes are kept, weights go to the disk one by one.

A model may be larger than memory; what is held here is its graph and one tensor.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
from onnx import TensorProto, helper

from isthmus.errors import ExportError

INLINE_BYTES = 1024
"""Tensors up to this stay in the message: shapes and axes, whose values onnxruntime wants to see while it reads the graph."""
ALIGNMENT = 4096
"""Of weights in their file, so that they can be mapped."""
OPSET, IR_VERSION = 20, 10
CONTRIB = "com.microsoft"
DATA = ".data"
"""`tail.onnx` has its weights in `tail.onnx.data`."""


class NetworkFile:
    """A network and its weights, being written; a context, at whose end the graph is written too.

    Args:
        path: of the ONNX file.

    Raises:
        ExportError: the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parameters = 0
        """Weights and biases so far, as whoever writes them counts."""
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._tensors: dict[str, TensorProto] = {}
        self._data = path.with_name(path.name + DATA).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *ignored: object) -> None:
        self._data.close()
        if kind is None:
            self._save()

    @property
    def files(self) -> dict[str, Path]:
        """Name -> path of what is written."""
        data = self.path.with_name(self.path.name + DATA)
        return {file.name: file for file in (self.path, data) if file.exists()}

    def takes(self, name: str, kind: int, shape: list[str | int]) -> str:
        """Add an input; its name."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def gives(self, name: str, kind: int, shape: list[str | int]) -> str:
        """Add an output; its name."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def node(self, operator: str, inputs: list[str], *outputs: str, domain: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Add a node, named by its first output that has a name; that name."""
        first = next(name for name in outputs if name)
        self._nodes.append(helper.make_node(operator, inputs, list(outputs), name=first, domain=domain, **attributes))
        return first

    def pieces(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], pieces: Iterable[np.ndarray]) -> str:
        """Write a tensor piece by piece along its first axis; its name."""
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(dtype), dims=shape)
        self._write(tensor, pieces)
        self._tensors[name] = tensor
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        """Write a tensor, once for each name; its name."""
        if name in self._tensors:
            return name
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = TensorProto(name=name, data_type=kind, dims=array.shape)
        if array.nbytes <= INLINE_BYTES:
            tensor.raw_data = array.tobytes()
        else:
            self._write(tensor, [array])
        self._tensors[name] = tensor
        return name

    def _write(self, tensor: TensorProto, pieces: Iterable[np.ndarray]) -> None:
        try:
            self._data.write(bytes(-self._data.tell() % ALIGNMENT))
            offset = self._data.tell()
            for piece in pieces:
                self._data.write(np.ascontiguousarray(piece).data)
            length = self._data.tell() - offset
        except OSError as error:
            raise ExportError(
                f"cannot write {self._data.name}: {error.strerror}; set TMPDIR to a folder with more room"
            ) from error
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": self.path.name + DATA, "offset": str(offset), "length": str(length)}
        tensor.external_data.extend(onnx.StringStringEntryProto(key=key, value=value) for key, value in entries.items())

    def _save(self) -> None:
        graph = helper.make_graph(self._nodes, self.path.stem, self._inputs, self._outputs, list(self._tensors.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="isthmus")
        try:
            self.path.write_bytes(model.SerializeToString())
        except OSError as error:
            raise ExportError(f"cannot write {self.path}: {error.strerror}; set TMPDIR to a folder with more room") from error
