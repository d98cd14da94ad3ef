"""A batch of one that is baked into constants, and how it is freed.

Exporters that trace with one picture write its batch into the targets of `Reshape` (`[1, 256]`, `[24, 2, 1936]` where a channel
shuffle has merged it, `[2, 1, 24, 44, 44]` behind a transposition), and fold tokens that are joined to every picture to constants
of one row. To find the place, the axis of the batch is followed through the graph by the shapes at batch 1. Following it is
guesswork at operators that this module does not know; whoever frees a batch runs the result and compares.
"""

from math import prod

import onnx_ir as ir

from isthmus.export.graph.flow import analyse, is_standard, name_of

SHAPE_RANGE_OPSET = 15
"""First opset in which `Shape` gives one dimension of its input."""


def free(model: ir.Model) -> None:
    """Write the batch as free, in place, wherever a constant holds the one of it.

    Args:
        model: of batch 1, with inferred shapes and freshly freed inputs.
    """
    data = analyse(model.graph).data
    axes: dict[ir.Value, int] = dict.fromkeys(data & set(model.graph.inputs), 0)
    for node in list(model.graph):
        source = next((value for value in node.inputs if value in axes), None)
        if source is None:
            continue
        axis = _axis_after(node, source, axes[source])
        if axis is None:
            continue
        if node.op_type == "Reshape" and is_standard(node) and source is node.inputs[0]:
            _free_reshape(model.graph, node, axis)
        elif node.op_type == "Concat" and axis == 0 and model.opset_imports.get("", 0) >= SHAPE_RANGE_OPSET:
            _spread_constants(model.graph, node, source)
        axes.update((value, axis) for value in node.outputs)


def _axis_after(node: ir.Node, source: ir.Value, axis: int) -> int | None:
    """The axis that carries the batch in the results of `node`, if it is `axis` in `source`; None where it is lost."""
    shape, result = _fixed(source), _fixed(node.outputs[0])
    if node.op_type == "Transpose":
        order = node.attributes.get("perm")
        return list(order.as_ints()).index(axis) if order else len(shape or ()) - 1 - axis
    if shape is None or result is None:
        return axis
    if node.op_type in {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}:
        before = prod(shape[:axis])
        return next((place for place in range(len(result)) if prod(result[:place]) == before), None)
    if node.op_type == "Gather" and len(result) < len(shape):
        gathered = node.attributes.get("axis")
        return axis - 1 if axis > (gathered.as_int() if gathered else 0) else axis
    if node.op_type.startswith(("Reduce", "Arg")) or len(result) < len(shape):
        return axis if axis < len(result) else None
    return axis + len(result) - len(shape)


def _fixed(value: ir.Value) -> list[int] | None:
    """The sizes at batch 1; None where one is unknown."""
    if value.shape is None:
        return None
    sizes = [size if isinstance(size, int) else 1 for size in value.shape]
    return sizes if all(isinstance(size, int) or size.value is not None for size in value.shape) else None


def _free_reshape(graph: ir.Graph, node: ir.Node, axis: int) -> None:
    """Let the batch axis of a constant target be what is left."""
    target, result = node.inputs[1], _fixed(node.outputs[0])
    if target is None or result is None or ir.convenience.get_const_tensor(target) is None or 0 in result:
        return
    sizes = [-1 if place == axis else size for place, size in zip(range(len(result)), result, strict=True)]
    node.replace_input_with(1, _constant(graph, f"{node.name}_free_batch", sizes))
    node.attributes.pop("allowzero", None)


def _spread_constants(graph: ir.Graph, node: ir.Node, source: ir.Value) -> None:
    """Repeat constants of one row that are joined to data of several, on another axis than that of the rows."""
    joined = node.attributes.get("axis")
    rank = len(source.shape or ())
    constants = [index for index, value in enumerate(node.inputs) if value is not None and value.is_initializer()]
    if joined is None or joined.as_int() % max(rank, 1) == 0 or not constants:
        return
    name = node.name or name_of(node.outputs[0])
    rows = ir.node("Shape", [source], attributes={"start": 0, "end": 1}, name=f"{name}_rows")
    ones = _constant(graph, f"{name}_ones", [1] * (rank - 1))
    target = ir.node("Concat", [rows.outputs[0], ones], attributes={"axis": 0}, name=f"{name}_target")
    spread = [ir.node("Expand", [node.inputs[index], target.outputs[0]], name=f"{name}_spread_{index}") for index in constants]
    graph.insert_before(node, [rows, target, *spread])
    for index, expand in zip(constants, spread, strict=True):
        node.replace_input_with(index, expand.outputs[0])
    for made in (rows, target, *spread):
        made.outputs[0].name = f"{made.name}_value"


def _constant(graph: ir.Graph, name: str, sizes: list[int]) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(sizes, dtype=ir.DataType.INT64, name=name))
    value.dtype, value.shape = ir.DataType.INT64, ir.Shape([len(sizes)])
    graph.register_initializer(value)
    return value
