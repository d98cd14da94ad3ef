"""Cut an ONNX model in two, and join two into one.

A split is exact: the head ends with the cut tensors, the tail starts with them, and each carries only the initialisers it
reads. What the tail wants to know about the *dimensions* of head tensors (`Shape` nodes that feed a later `Reshape`) is
re-rooted: a fixed dimension becomes a constant, a free one is read off a tensor that crosses and has the same named
dimension. Where neither is possible the tiny result of the `Shape` node crosses as an auxiliary tensor.

Neither function changes the models it is given.
"""

from dataclasses import dataclass

import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.cuts import Cut
from isthmus.export.graph import SHAPE_OPERATORS, Flow, analyse, ancestors, data_inputs, is_standard, name_of, reads
from isthmus.export.merge import merge

__all__ = ["Halves", "merge", "split"]

SHAPE_RANGE_OPSET = 15
"""First opset in which `Shape` takes `start` and `end`; below it nothing is re-rooted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """The two parts of a model.

    Attributes:
        head: from the inputs of the model to the cut tensors, then the auxiliary ones.
        tail: from the cut tensors, the auxiliary ones and the inputs it still reads, to the outputs of the model.
        auxiliary: names of the int64 shape tensors that cross beside the cut tensors; usually none.
    """

    head: ir.Model
    tail: ir.Model
    auxiliary: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Root:
    """How one result of a `Shape` node is rebuilt in the tail: per element a number, or a tensor and its axis."""

    value: ir.Value
    elements: tuple[int | tuple[ir.Value, int], ...]


def split(model: ir.Model, cut: Cut) -> Halves:
    """Cut `model` at `cut`.

    Args:
        model: a model that has passed a door: topologically sorted, shapes inferred.
        cut: one of `cuts.enumerate(model)`.

    Returns:
        Both halves with the opsets of the model.

    Raises:
        ExportError: the cut is not one of this model, or lies inside a control-flow body.
    """
    flow = analyse(model.graph)
    cut_values = _values_of(flow, cut)
    crossing = [value for value in data_inputs(model.graph) if name_of(value) in cut.inputs_crossing]
    boundary = [*cut_values, *crossing]
    foreign = _foreign_shapes(model.graph, flow, cut, boundary)
    rerooted, auxiliary = _reroot(foreign, boundary, model.opset_imports.get("", 0))

    head = _extract(model, [*cut_values, *auxiliary], data_inputs(model.graph))
    tail = _extract(model, list(model.graph.outputs), [*boundary, *auxiliary, *(root.value for root in rerooted)])
    for root in rerooted:
        _rebuild(tail.graph, root)
    for value in auxiliary:
        _declare_shape_tensor(value, (*head.graph.outputs, *tail.graph.inputs))
    return Halves(head=head, tail=tail, auxiliary=tuple(map(name_of, auxiliary)))


def _values_of(flow: Flow, cut: Cut) -> list[ir.Value]:
    """The live values behind a cut, checked against the model."""
    computed = (value for node in flow.order[: cut.index + 1] for value in node.outputs)
    alive = [value for value in computed if flow.alive_after(cut.index, value)]
    if tuple(map(name_of, alive)) != cut.tensors:
        raise ExportError(
            f"cut {cut.index} at {', '.join(cut.tensors)} is not one of this model, where {', '.join(map(name_of, alive))} "
            "would cross; enumerate the cuts of this very model"
        )
    return alive


def _foreign_shapes(graph: ir.Graph, flow: Flow, cut: Cut, boundary: list[ir.Value]) -> list[ir.Value]:
    """Results of `Shape` and `Size` that the tail reads about tensors it will not have."""
    head_side = set(data_inputs(graph)) | {value for node in flow.order[: cut.index + 1] for value in node.outputs}
    head_side -= set(boundary)
    stop, found = set(boundary), []
    stack, seen = list(graph.outputs), set[ir.Value]()
    while stack:
        value = stack.pop()
        producer = value.producer()
        if value in seen or value in stop or producer is None:
            continue
        seen.add(value)
        if producer.op_type in SHAPE_OPERATORS and is_standard(producer) and reads(producer)[0] in head_side:
            found.append(value)
        else:
            stack.extend(reads(producer))
    return sorted(found, key=name_of)


def _reroot(foreign: list[ir.Value], boundary: list[ir.Value], opset: int) -> tuple[list[_Root], list[ir.Value]]:
    """Sort shape results into those the tail can rebuild and those that have to cross."""
    rebuilt: list[_Root] = []
    crossing: list[ir.Value] = []
    for value in foreign:
        elements = _elements(value, boundary) if opset >= SHAPE_RANGE_OPSET else None
        if elements is None:
            crossing.append(value)
        else:
            rebuilt.append(_Root(value=value, elements=elements))
    return rebuilt, crossing


def _elements(value: ir.Value, boundary: list[ir.Value]) -> tuple[int | tuple[ir.Value, int], ...] | None:
    node = value.producer()
    if node is None or node.op_type != "Shape" or node.inputs[0] is None or node.inputs[0].shape is None:
        return None
    wanted = list(node.inputs[0].shape)
    start, end = (node.attributes.get(name) for name in ("start", "end"))
    wanted = wanted[slice(start.as_int() if start else 0, end.as_int() if end else None)]
    found = [size if isinstance(size, int) else _axis_of(size, boundary) for size in wanted]
    known = tuple(element for element in found if element is not None)
    return known if known and len(known) == len(found) else None


def _axis_of(size: ir.SymbolicDim, boundary: list[ir.Value]) -> tuple[ir.Value, int] | None:
    """A tensor that crosses and its axis with the same named dimension."""
    if size.value is None:
        return None
    for value in boundary:
        for axis, other in zip(range(len(value.shape or ())), value.shape or (), strict=True):
            if not isinstance(other, int) and other.value == size.value:
                return value, axis
    return None


def _extract(model: ir.Model, outputs: list[ir.Value], candidates: tuple[ir.Value, ...] | list[ir.Value]) -> ir.Model:
    """Copy what lies between `candidates` and `outputs`, keeping of the candidates those that are read."""
    stop = set(candidates)
    reached: set[ir.Value] = set()
    for output in outputs:
        reached |= ancestors(output, stop_at=stop)
    inputs = [value for value in candidates if value in reached]
    graph = ir.convenience.extract(model.graph, inputs, outputs)
    graph.opset_imports.update(model.opset_imports)
    return ir.Model(
        graph,
        ir_version=model.ir_version,
        producer_name="isthmus",
        functions=[function.clone() for function in model.functions.values()],
    )


def _rebuild(tail: ir.Graph, root: _Root) -> None:
    """Replace an input of the tail that held a shape by nodes that compute it from what crosses."""
    inputs = {name_of(value): value for value in tail.inputs}
    placeholder = inputs[name_of(root.value)]
    tail.inputs.remove(placeholder)
    nodes: list[ir.Node] = []
    parts: list[ir.Value] = []
    for element in root.elements:
        node = _constant(element) if isinstance(element, int) else _dimension(inputs, *element)
        node.outputs[0].name = f"{placeholder.name}_rerooted_{len(parts)}"
        nodes.append(node)
        parts.append(node.outputs[0])
    if len(parts) > 1:
        nodes.append(ir.node("Concat", parts, attributes={"axis": 0}))
    result = nodes[-1].outputs[0]
    result.name, result.dtype, result.shape = placeholder.name, ir.DataType.INT64, ir.Shape([len(parts)])
    for number, node in zip(range(len(nodes)), nodes, strict=True):
        node.name = f"{placeholder.name}_rerooted_node_{number}"
    placeholder.replace_all_uses_with(result, replace_graph_outputs=True)
    _prepend(tail, nodes)


def _declare_shape_tensor(source: ir.Value, copies: tuple[ir.Value, ...]) -> None:
    """Give the copies of a `Shape` or `Size` result, at both ends of the cut, the type inference may not have found."""
    producer = source.producer()
    is_vector = producer is not None and producer.op_type == "Shape"
    for copy in copies:
        if copy.name == source.name:
            copy.dtype = ir.DataType.INT64
            copy.shape = copy.shape or ir.Shape([None] if is_vector else [])


def _constant(number: int) -> ir.Node:
    return ir.node("Constant", [], attributes={"value_ints": [number]})


def _dimension(inputs: dict[str, ir.Value], value: ir.Value, axis: int) -> ir.Node:
    return ir.node("Shape", [inputs[name_of(value)]], attributes={"start": axis, "end": axis + 1})


def _prepend(graph: ir.Graph, nodes: list[ir.Node]) -> None:
    first = next(iter(graph), None)
    if first is None:
        graph.extend(nodes)
    else:
        graph.insert_before(first, nodes)
