"""`config.pbtxt` of one ONNX network: what NVIDIA Triton Inference Server wants to know of it.

The fields are those of Triton's `model_config.proto` (documented in its "Model Configuration" page). The text is protobuf's text
format, written here by hand because eight fields do not earn a dependency on Triton's client.

A batch dimension is declared (`max_batch_size`) only where every input and output begins with the same free dimension; then
`dims` leave it out and Triton may join requests. Elsewhere `max_batch_size` is 0 and `dims` are whole; a free dimension is -1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.graph.flow import data_inputs, name_of

DATA_TYPES = {
    ir.DataType.BOOL: "TYPE_BOOL",
    ir.DataType.UINT8: "TYPE_UINT8",
    ir.DataType.UINT16: "TYPE_UINT16",
    ir.DataType.UINT32: "TYPE_UINT32",
    ir.DataType.UINT64: "TYPE_UINT64",
    ir.DataType.INT8: "TYPE_INT8",
    ir.DataType.INT16: "TYPE_INT16",
    ir.DataType.INT32: "TYPE_INT32",
    ir.DataType.INT64: "TYPE_INT64",
    ir.DataType.FLOAT16: "TYPE_FP16",
    ir.DataType.FLOAT: "TYPE_FP32",
    ir.DataType.DOUBLE: "TYPE_FP64",
    ir.DataType.BFLOAT16: "TYPE_BF16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One input or output as Triton counts its dimensions.

    Attributes:
        name: as in the ONNX file.
        data_type: Triton's word for it.
        dims: without the batch where there is one; -1 for a free dimension, never empty.
        is_scalar: the network has no dimension there, and `dims` is `[1]`, because Triton knows no empty shape.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    is_scalar: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Inputs and outputs of one network, and whether requests may be joined along a batch."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    has_batch: bool


def read_interface(path: Path) -> Interface:
    """Read what goes into and comes out of an ONNX file; its weights are not touched.

    Raises:
        ExportError: it is no ONNX file, or an input or output has a type or rank that Triton cannot be told.
    """
    try:
        graph = ir.load(path).graph
    except Exception as reason:
        raise ExportError(
            f"{path} is not an ONNX file: {(str(reason).strip() or type(reason).__name__).splitlines()[0]}"
        ) from reason
    inputs, outputs = data_inputs(graph), tuple(graph.outputs)
    firsts = [None if value.shape is None or len(value.shape) == 0 else value.shape[0] for value in (*inputs, *outputs)]
    names = {None if first is None or isinstance(first, int) else first.value for first in firsts}
    has_batch = len(names) == 1 and None not in names
    return Interface(
        inputs=tuple(_port(value, has_batch=has_batch) for value in inputs),
        outputs=tuple(_port(value, has_batch=has_batch) for value in outputs),
        has_batch=has_batch,
    )


def _port(value: ir.Value, *, has_batch: bool) -> Port:
    if value.dtype not in DATA_TYPES or value.shape is None:
        raise ExportError(
            f"{name_of(value)!r} is {value.dtype}{value.shape or ' of unknown rank'}, which a Triton model cannot have"
        )
    sizes = list(value.shape)[1:] if has_batch else list(value.shape)
    dims = tuple(size if isinstance(size, int) else -1 for size in sizes)
    return Port(name=name_of(value), data_type=DATA_TYPES[value.dtype], dims=dims or (1,), is_scalar=not dims)


def config_text(
    name: str,
    interface: Interface,
    *,
    max_batch: int,
    instances: int,
    label_files: Mapping[str, str],
    parameters: Mapping[str, str],
) -> str:
    """Write `config.pbtxt`.

    Args:
        name: of the model, which is also its folder's.
        interface: of its network.
        max_batch: most requests that Triton may join, where the network has a batch.
        instances: copies of the network that run at the same time, on every GPU or on the CPU.
        label_files: by output, the file beside `config.pbtxt` that names its classes.
        parameters: words for clients, and for whoever looks at the file.
    """
    joined = interface.has_batch and max_batch > 1
    lines = [
        f"name: {quoted(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch if interface.has_batch else 0}",
        *_ports("input", interface.inputs, {}),
        *_ports("output", interface.outputs, label_files),
        *_message("instance_group [", [f"count: {instances}", "kind: KIND_AUTO"]),
        # Without a delay: what is queued when an instance is free goes together, and nothing waits for company.
        *(["dynamic_batching { }"] if joined else []),
    ]
    for key, value in parameters.items():
        lines += ["parameters {", f"  key: {quoted(key)}", f"  value {{ string_value: {quoted(value)} }}", "}"]
    return "\n".join(lines) + "\n"


def _ports(field: str, ports: Sequence[Port], label_files: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for port in ports:
        inside = [f"name: {quoted(port.name)}", f"data_type: {port.data_type}", f"dims: [ {', '.join(map(str, port.dims))} ]"]
        if port.is_scalar:
            inside.append("reshape { shape: [ ] }")
        if port.name in label_files:
            inside.append(f"label_filename: {quoted(label_files[port.name])}")
        lines += _message(f"{field} [", inside)
    return lines


def _message(opening: str, inside: Sequence[str]) -> list[str]:
    return [opening, "  {", *(f"    {line}" for line in inside), "  }", "]"]


def quoted(text: str) -> str:
    r"""A string of protobuf's text format.

    >>> print(quoted('a "b"\n'))
    "a \"b\"\012"
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter >= " " and letter != "\x7f" else f"\\{ord(letter):03o}" for letter in escaped) + '"'
