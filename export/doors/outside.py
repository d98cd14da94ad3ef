"""The outside of a model: pictures and scores are float32 and have a batch axis, whatever the file has.

float16, bfloat16 inputs and outputs      a `Cast` at the edge; the interior keeps its type
a picture input of integers or doubles    a `Cast` from float32; whole numbers, as 0..255, arrive exactly
a picture input of three axes             an axis of one in front, see `is_picture_without_batch`
"""

from collections.abc import Iterator

import onnx_ir as ir
import onnx_ir.passes.common as passes

from isthmus.export.graph.flow import HALVES, PICTURE_CHANNELS, data_inputs, is_standard, name_of

LEAST_SIDE = 8
"""Rows and columns of the smallest thing that is taken for a picture; shorter axes are coordinates, classes or time steps."""

AXES_AS_INPUT_OPSET = 13
"""First opset in which `Squeeze` and `Unsqueeze` take their axes as an input."""


def as_float32(model: ir.Model) -> bool:
    """Make the outside float32, in place.

    Returns:
        True when a picture input of integers was among them: its values are 0..255 then, unless the user knows better.
    """
    takes_integers = False
    is_picture = _takes_one_picture(model.graph)
    for value in data_inputs(model.graph):
        is_integer = value.dtype is not None and value.dtype.is_integer()
        if value.dtype in HALVES or (is_picture and (is_integer or value.dtype == ir.DataType.DOUBLE)):
            takes_integers |= is_integer
            _cast_input(model.graph, value)
    for index, value in enumerate(list(model.graph.outputs)):
        if value.dtype in HALVES:
            _put_behind(model.graph, index, value, "Cast", {"to": int(ir.DataType.FLOAT)}, (), ir.DataType.FLOAT, value.shape)
    return takes_integers


def _takes_one_picture(graph: ir.Graph) -> bool:
    inputs = data_inputs(graph)
    has_channels = len(inputs) == 1 and len(inputs[0].shape or ()) == 4 and _channel_axis(inputs[0]) is not None
    return has_channels or is_picture_without_batch(graph)


def _channel_axis(value: ir.Value) -> int | None:
    """The axis that holds 1 or 3 channels, the batch apart: of four axes the second or last, of three the first or last."""
    sizes = [] if value.shape is None else list(value.shape)
    ends = {4: (1, 3), 3: (0, 2)}.get(len(sizes), ())
    return next((axis for axis in ends if sizes[axis] in PICTURE_CHANNELS), None)


def _cast_input(graph: ir.Graph, value: ir.Value) -> None:
    inner = value.dtype
    outer = ir.Value(name=value.name, shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("Cast", [outer], attributes={"to": int(inner or ir.DataType.FLOAT)}, name=f"{value.name}_cast")
    _put_before(graph, value, outer, node, suffix="as_stored")


def _put_before(graph: ir.Graph, value: ir.Value, outer: ir.Value, node: ir.Node, *, suffix: str) -> None:
    """Let the input `outer` go through `node` and take the place of the input `value`."""
    result = node.outputs[0]
    result.name, result.shape, result.type = f"{value.name}_{suffix}", value.shape, value.type
    value.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.inputs[list(graph.inputs).index(value)] = outer
    first = next(iter(graph), None)
    if first is None:
        graph.append(node)
    else:
        graph.insert_before(first, node)


def _put_behind(
    graph: ir.Graph,
    index: int,
    value: ir.Value,
    operator: str,
    attributes: dict[str, int | list[int]],
    more: tuple[ir.Value, ...],
    dtype: ir.DataType | None,
    shape: ir.Shape | None,
) -> None:
    """Send output `index` through one more node, whose result takes its name."""
    name = name_of(value)
    node = ir.node(operator, [value, *more], attributes=attributes, name=f"{name}_{operator.lower()}")
    if not value.is_graph_input():
        value.name = f"{name}_inside"
    result = node.outputs[0]
    result.name, result.shape = name, shape
    if dtype is not None:
        result.dtype = dtype
    graph.append(node)
    graph.outputs[index] = result


def is_picture_without_batch(graph: ir.Graph) -> bool:
    """True when the only input is one picture and not a batch of them.

    That is: three axes of fixed size, of them 3 channels first, or 1 or 3 last, or 1 first in a network that convolves in two
    dimensions (else `[1, a, b]` is a batch of one sequence); rows and columns are at least `LEAST_SIDE`.
    """
    inputs = data_inputs(graph)
    axis = _channel_axis(inputs[0]) if len(inputs) == 1 else None
    sizes = [] if axis is None else [size for size in inputs[0].shape or () if isinstance(size, int)]
    if len(sizes) != 3 or axis is None:
        return False
    if min(sizes[:axis] + sizes[axis + 1 :]) < LEAST_SIDE:
        return False
    return sizes[axis] == 3 or axis == 2 or any(_is_two_dimensional(node) for node in graph)


def _is_two_dimensional(node: ir.Node) -> bool:
    kernel = node.attributes.get("kernel_shape")
    weight = node.inputs[1] if node.op_type in {"Conv", "QLinearConv"} and len(node.inputs) > 1 else None
    return (kernel is not None and len(kernel.as_ints()) == 2) or (
        weight is not None and weight.shape is not None and len(weight.shape) == 4
    )


def with_batch(model: ir.Model) -> ir.Model:
    """A copy whose one input and whose outputs have an axis of one in front; nothing between them does."""
    wrapped = model.clone()
    graph, version = wrapped.graph, wrapped.opset_imports.get("", 0)
    inner = data_inputs(graph)[0]
    attributes, more = _first_axis(graph, version)
    outer = ir.Value(name=inner.name, shape=ir.Shape([1, *(inner.shape or ())]), type=inner.type)
    node = ir.node("Squeeze", [outer, *more], attributes=attributes, name=f"{inner.name}_squeeze")
    _put_before(graph, inner, outer, node, suffix="without_batch")
    for index, value in enumerate(list(graph.outputs)):
        shape = None if value.shape is None else ir.Shape([1, *value.shape])
        _put_behind(graph, index, value, "Unsqueeze", attributes, more, value.dtype, shape)
    return wrapped


def _first_axis(graph: ir.Graph, version: int) -> tuple[dict[str, int | list[int]], tuple[ir.Value, ...]]:
    """Axis 0 as `Squeeze` and `Unsqueeze` of this opset want it: attributes, or an initialiser."""
    if version < AXES_AS_INPUT_OPSET:
        return {"axes": [0]}, ()
    axes = ir.Value(name="isthmus_first_axis", const_value=ir.tensor([0], dtype=ir.DataType.INT64, name="isthmus_first_axis"))
    axes.dtype, axes.shape = ir.DataType.INT64, ir.Shape([1])
    graph.register_initializer(axes)
    return {}, (axes,)


def without_round_trips(model: ir.Model) -> ir.Model:
    """A copy of what `with_batch` gave, in which axes that the model itself puts in front and takes away again stay.

    Where every such axis is met (`x[None]` at the start, `y[0]` at the end), everything between has a batch that can be freed.
    """
    direct = model.clone()
    for squeeze in [node for node in direct.graph if _removes_first_axis(node)]:
        source, result = squeeze.inputs[0], squeeze.outputs[0]
        for node in [node for node in result.consumers() if _adds_first_axis(node)]:
            if source is not None and not result.is_graph_output():
                _bridge(direct.graph, node, source)
    passes.RemoveUnusedNodesPass()(direct)
    return direct


def _bridge(graph: ir.Graph, node: ir.Node, source: ir.Value) -> None:
    """Let `source` stand for the result of `node`, under its name where it is an output of the graph."""
    result = node.outputs[0]
    if result.is_graph_output():
        identity = ir.node("Identity", [source], name=f"{node.name}_bridged")
        graph.insert_before(node, identity)
        replacement = identity.outputs[0]
        replacement.shape, replacement.type = result.shape, result.type
        result.replace_all_uses_with(replacement, replace_graph_outputs=True)
        replacement.name, result.name = result.name, f"{result.name}_unused"
    else:
        result.replace_all_uses_with(source)
    graph.remove(node, safe=True)


def _removes_first_axis(node: ir.Node) -> bool:
    if node.op_type == "Gather" and is_standard(node):
        axis = node.attributes.get("axis")
        index = None if node.inputs[1] is None else ir.convenience.get_const_tensor(node.inputs[1])
        return (axis is None or axis.as_int() == 0) and index is not None and index.numpy().shape == () and not index.numpy()
    return node.op_type == "Squeeze" and list(_axes(node)) == [0]


def _adds_first_axis(node: ir.Node) -> bool:
    return node.op_type == "Unsqueeze" and list(_axes(node)) == [0]


def _axes(node: ir.Node) -> Iterator[int]:
    if (written := node.attributes.get("axes")) is not None:
        yield from written.as_ints()
    elif len(node.inputs) > 1 and node.inputs[1] is not None:
        tensor = ir.convenience.get_const_tensor(node.inputs[1])
        yield from () if tensor is None else tensor.numpy().ravel().tolist()
