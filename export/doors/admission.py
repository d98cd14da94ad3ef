"""What no door lets in, and why, in one line each.

Files are looked at before they are parsed, because what stands in for a model is often something else: an empty download, a
pointer of Git LFS, a page of text, a checkpoint of weights. Models are looked at before anything is done to them.
"""

from pathlib import Path

import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.graph.flow import data_inputs, name_of, subgraphs

KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator domains that onnxruntime carries without a custom-op library."""

LFS_POINTER = b"version https://git-lfs"
"""How a file begins that Git LFS has left in place of the real one."""

OTHER_KINDS = (
    (b"PK\x03\x04", "a zip, as torch writes .pt2 and .pt files"),
    (b"\x89HDF", "a Keras or HDF5 file"),
    (b"<", "a page of HTML or XML"),
    (b"{", "a JSON file"),
    (b"GGUF", "a GGUF file"),
)
"""First bytes of what is met under the name of a model; none of them begins an ONNX file."""


def check_file(path: Path) -> None:
    """Refuse a model file that is missing, empty, or plainly of another kind.

    Raises:
        ExportError: and what to do about it.
    """
    if not path.is_file():
        raise ExportError(f"there is no model file {path}")
    try:
        with path.open("rb") as stream:
            start = stream.read(len(LFS_POINTER))
    except OSError as reason:
        raise ExportError(f"{path} cannot be read: {reason.strerror}") from reason
    if not start:
        raise ExportError(f"{path} is not a sound model file: it is empty")
    if start == LFS_POINTER:
        raise ExportError(f"{path} is a pointer of Git LFS and not the model; fetch the model with: git lfs pull")


def kind_of(path: Path) -> str | None:
    """What else than ONNX a file is by its first bytes, in words; None if they say nothing."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    return next((kind for magic, kind in OTHER_KINDS if start.startswith(magic)), None)


def check_model(model: ir.Model) -> None:
    """Turn away what can never be split: no inputs, inputs that are no numbers, operators nobody here can run.

    Raises:
        ExportError: naming the operator or the input.
    """
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
    if not any(True for _ in model.graph):
        raise ExportError("the model has no nodes: its outputs are inputs or constants, so there is nothing to compute or split")


def _all_nodes(graph: ir.Graph) -> list[ir.Node]:
    """Nodes of a graph and of every control-flow body in it."""
    nodes = list(graph)
    for node in list(nodes):
        for body in subgraphs(node):
            nodes.extend(_all_nodes(body))
    return nodes
