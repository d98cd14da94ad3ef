"""Will TensorRT take these networks? Answered from its public support list, without TensorRT.

What is looked for, node by node, control-flow bodies included:

* operators outside the standard or not in the list, and its restrictions that show in a graph (`tensorrt_operators`);
* quantisers: the zero point must be a constant 0, codes are INT8 (never UINT8), the scale is a constant, and where an activation
  is quantised it is one number: per channel is for weights;
* INT8 exists only between `QuantizeLinear` and `DequantizeLinear`, an input or output of the network included; UINT8 only as
  input or output of the network, next to a `Cast`;
* float64 and other types TensorRT has not; an opset outside its range.

No finding does not promise an engine: memory, dynamic shapes and layer fusions only show when one is built.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from isthmus.contract.manifest import Gate
from isthmus.errors import ExportError
from isthmus.export.graph import shapes
from isthmus.export.graph.flow import data_inputs, is_standard, name_of, subgraphs
from isthmus.export.targets.tensorrt_operators import EDITION, LEAST_OPSET, NEWEST_OPSET, SUPPORTED, restriction

SHOWN = 4
"""Findings in one message; the first few tell what kind of network it is."""

_EVERYWHERE = frozenset(
    {
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.BFLOAT16,
        ir.DataType.INT32,
        ir.DataType.INT64,
        ir.DataType.BOOL,
        ir.DataType.UNDEFINED,
    }
)
_QUANTISED = frozenset({ir.DataType.INT8, ir.DataType.INT4, ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT4E2M1})
"""Types that exist in TensorRT only behind `QuantizeLinear`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that TensorRT does not take.

    Attributes:
        node: its name, or the name of an input or output.
        operator: type of the node; "input" or "output" of the network; "model" for all of it.
        reason: what is wrong.
    """

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.operator} {self.node!r}: {self.reason}"


def findings(model: ir.Model) -> list[Finding]:
    """All that the list has against a model, in the order of its nodes; what is of unknown type is let through."""
    opset = model.opset_imports.get("", model.opset_imports.get("ai.onnx", 0))
    found: list[Finding] = []
    if not LEAST_OPSET <= opset <= NEWEST_OPSET:
        reason = f"opset {opset}, {EDITION} takes {LEAST_OPSET} to {NEWEST_OPSET}"
        found.append(Finding(node=model.graph.name or "graph", operator="model", reason=reason))
    for value in data_inputs(model.graph):
        found += _about_port(value, "input", [node for node, _ in value.uses()])
    for node in _all_nodes(model.graph):
        reasons = _about_node(node)
        found += [Finding(node=node.name or "?", operator=node.op_type, reason=reason) for reason in reasons]
    for value in model.graph.outputs:
        producer = value.producer()
        found += _about_port(value, "output", [] if producer is None else [producer])
    return found


def check(models: Mapping[str, ir.Model]) -> Gate:
    """Refuse networks that TensorRT would not take.

    Args:
        models: by file name.

    Raises:
        ExportError: with the first findings, each with its network, node and operator.
    """
    found = [(name, finding) for name, model in models.items() for finding in findings(_typed(model))]
    if found:
        told = "; ".join(f"{name}, {finding}" for name, finding in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ExportError(f"{EDITION} would not take the networks: {told}{more}")
    return Gate(name="TensorRT takes the networks", value=0.0, limit=0.0, detail=f"{', '.join(models)}; list of {EDITION}")


def check_files(paths: Mapping[str, Path]) -> Gate:
    """The same for networks on disk; their weights are not read.

    Raises:
        ExportError: with the first findings, or a file is no ONNX file.
    """
    models = {}
    for name, path in paths.items():
        try:
            models[name] = ir.load(path)
        except Exception as reason:
            raise ExportError(f"{path} is not an ONNX file: {type(reason).__name__}") from reason
    return check(models)


def adapted(model: ir.Model) -> ir.Model:
    """A copy whose signed codes come from `QuantizeLinear` and go into `DequantizeLinear` of scale 1, where a `Cast` did that.

    The same numbers: what is cast has been rounded and clipped before. Casts of unsigned codes stay, for TensorRT has UINT8 at
    inputs and outputs only by `Cast`.
    """
    copy = _typed(model)
    for value in copy.graph.outputs:
        producer = value.producer()
        if value.dtype == ir.DataType.INT8 and producer is not None and producer.op_type == "Cast":
            _replace(copy.graph, producer, "QuantizeLinear")
    for value in data_inputs(copy.graph):
        readers = [node for node, _ in value.uses()]
        if value.dtype == ir.DataType.INT8:
            for reader in (node for node in readers if node.op_type == "Cast" and node.outputs[0].dtype == ir.DataType.FLOAT):
                _replace(copy.graph, reader, "DequantizeLinear")
    return copy


def _typed(model: ir.Model) -> ir.Model:
    """A copy in which every type is filled in that inference can tell."""
    copy = model.clone()
    shapes.infer(copy)
    return copy


def _replace(graph: ir.Graph, cast: ir.Node, operator: str) -> None:
    given, result = cast.inputs[0], cast.outputs[0]
    if given is None or (operator == "QuantizeLinear" and given.dtype != ir.DataType.FLOAT):
        return
    step = _constant(graph, f"{cast.name}_step", np.float32(1.0))
    zero = _constant(graph, f"{cast.name}_zero", np.int8(0))
    node = ir.node(operator, [given, step, zero], name=f"{cast.name}_{operator}")
    made = node.outputs[0]
    graph.insert_before(cast, node)
    name, made.type, made.shape = result.name, result.type, result.shape
    result.replace_all_uses_with(made, replace_graph_outputs=True)
    graph.remove(cast, safe=True)
    made.name = name


def _constant(graph: ir.Graph, name: str, number: np.float32 | np.int8) -> ir.Value:
    tensor = ir.tensor(np.asarray(number), name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape([]), const_value=tensor)
    graph.register_initializer(value)
    return value


def _all_nodes(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in graph:
        yield node
        for body in subgraphs(node):
            yield from _all_nodes(body)


def _about_port(value: ir.Value, kind: str, neighbours: Iterable[ir.Node]) -> Iterator[Finding]:
    """What is wrong with an input or output of the network, given the nodes next to it."""
    wanted = {
        ir.DataType.INT8: "DequantizeLinear" if kind == "input" else "QuantizeLinear",
        ir.DataType.UINT8: "Cast",
    }
    if value.dtype in wanted:
        for node in neighbours:
            if node.op_type != wanted[value.dtype]:
                here = f"{node.op_type} {node.name!r}"
                reason = f"{value.dtype.name} at an {kind} goes with {wanted[value.dtype]} only, here with {here}"
                yield Finding(node=name_of(value), operator=kind, reason=reason)
    elif value.dtype is not None and value.dtype not in _EVERYWHERE:
        yield Finding(node=name_of(value), operator=kind, reason=f"type {value.dtype} is not supported there")


def _about_node(node: ir.Node) -> list[str]:
    if not is_standard(node):
        return [f"is of domain {node.domain}, only standard operators are in the list"]
    if node.op_type not in SUPPORTED:
        return ["is not in the list"]
    if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
        return list(_about_quantiser(node))
    reason = restriction(node)
    return ([reason] if reason else []) + list(_about_types(node))


def _about_quantiser(node: ir.Node) -> Iterator[str]:
    given, scale, zero = (*node.inputs, None, None)[:3]
    codes = node.outputs[0] if node.op_type == "QuantizeLinear" else given
    if codes is not None and codes.dtype is not None and codes.dtype not in _QUANTISED:
        hint = ", use symmetric int8" if codes.dtype == ir.DataType.UINT8 else ""
        hint = ", keep the bias in floats" if codes.dtype == ir.DataType.INT32 else hint
        yield f"codes are {codes.dtype.name}, only INT8 is supported{hint}"
    zeros = None if zero is None else ir.convenience.get_const_tensor(zero)
    if zero is not None and zeros is None:
        yield "the zero point must be a constant 0, here it is computed"
    elif zeros is not None and np.any(zeros.numpy().astype(np.int64)):
        yield f"the zero point must be 0, here it is {int(zeros.numpy().astype(np.int64).flat[0])}"
    steps = None if scale is None else ir.convenience.get_const_tensor(scale)
    if steps is None:
        yield "the scale must be a constant, here it is computed"
    elif steps.size > 1 and given is not None and ir.convenience.get_const_tensor(given) is None and not _is_weight(given):
        yield f"an activation has one scale, here {steps.size}; per channel is for weights"


def _is_weight(value: ir.Value) -> bool:
    """True for what `QuantizeLinear` makes of a constant."""
    producer = value.producer()
    if producer is None or producer.op_type != "QuantizeLinear" or producer.inputs[0] is None:
        return False
    return ir.convenience.get_const_tensor(producer.inputs[0]) is not None


def _about_types(node: ir.Node) -> Iterator[str]:
    """Types that the node reads and gives; at inputs and outputs of the network `_about_port` speaks."""
    for value in (*node.inputs, *node.outputs):
        if value is None or value.dtype is None or value.dtype in _EVERYWHERE:
            continue
        at_port = (value.is_graph_input() and not value.is_initializer()) or value.is_graph_output()
        if at_port:
            continue
        if value.dtype in _QUANTISED:
            yield f"{name_of(value)!r} is {value.dtype.name}, which exists between QuantizeLinear and DequantizeLinear only"
        else:
            yield f"{name_of(value)!r} is {value.dtype.name}, which is not supported inside a network"
