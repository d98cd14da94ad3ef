"""What the tail wants to know of the dimensions of head tensors, rebuilt from what crosses.

A `Shape` that feeds a later `Reshape` asks for sizes of a tensor that only the head has. Each size it wants is a number, or a
multiple of a named dimension (`batch`, `8*batch`) that some tensor which crosses has as well: the tail reads it there. A
`Gather` or `Slice` with fixed indices behind the `Shape` is looked through, for it often wants the batch alone. Works at every
opset, for only `Shape`, `Gather`, `Mul`, `Div`, `Concat`, `Reshape` and `ReduceProd` are written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from isthmus.export.graph.flow import SHAPE_OPERATORS, is_standard, name_of, reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """A size that the tail reads: axis `axis` of `value`, times `times`, divided by `over` without remainder."""

    value: ir.Value
    axis: int
    times: int = 1
    over: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """How the tail rebuilds one integer tensor.

    Attributes:
        value: of the model, int64.
        elements: its elements, or the factors of the one it has.
        form: `vector` of the elements, `scalar` of the only one, or `product` of all of them as a scalar.
    """

    value: ir.Value
    elements: tuple[int | Dimension, ...]
    form: Literal["vector", "scalar", "product"]


def survey(graph: ir.Graph, head_side: set[ir.Value], boundary: Sequence[ir.Value]) -> tuple[list[Root], list[ir.Value]]:
    """Find the shape results that the tail reads about tensors it will not have.

    Args:
        graph: the whole.
        head_side: inputs and what the head computes, without `boundary`.
        boundary: the data tensors that cross.

    Returns:
        Those that can be rebuilt, and those that have to cross: results of `Shape` and `Size`.
    """
    roots: list[Root] = []
    crossing: list[ir.Value] = []
    stack, seen = list(graph.outputs), set[ir.Value]()
    while stack:
        value = stack.pop()
        producer = value.producer()
        if value in seen or value in boundary or producer is None:
            continue
        seen.add(value)
        asked = _asked(value)
        if asked is None or asked not in head_side:
            stack.extend(reads(producer))
        elif (root := _root(value, boundary)) is not None:
            roots.append(root)
        elif producer.op_type in SHAPE_OPERATORS:
            crossing.append(value)
        else:
            stack.extend(reads(producer))
    return sorted(roots, key=lambda root: name_of(root.value)), sorted(crossing, key=name_of)


def _asked(value: ir.Value) -> ir.Value | None:
    """The tensor whose dimensions `value` tells, directly or chosen with fixed indices; None where it tells none."""
    node = value.producer()
    if node is None or not is_standard(node):
        return None
    if node.op_type in SHAPE_OPERATORS:
        return node.inputs[0]
    if node.op_type not in {"Gather", "Slice"} or any(
        given is not None and _constant(given) is None for given in node.inputs[1:]
    ):
        return None
    source = None if node.inputs[0] is None else node.inputs[0].producer()
    return source.inputs[0] if source is not None and source.op_type == "Shape" and is_standard(source) else None


def _constant(value: ir.Value | None) -> np.ndarray | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def _root(value: ir.Value, boundary: Sequence[ir.Value]) -> Root | None:
    node = value.producer()
    asked = _asked(value)
    if node is None or asked is None or asked.shape is None:
        return None
    sizes: list[int | ir.SymbolicDim] | None = list(asked.shape)
    form: Literal["vector", "scalar", "product"] = "product" if node.op_type == "Size" else "vector"
    if node.op_type in {"Gather", "Slice"}:
        source = node.inputs[0].producer() if node.inputs[0] is not None else None
        sizes = None if source is None else _chosen(_part(list(asked.shape), source), node)
        indices = _constant(node.inputs[1])
        form = "scalar" if node.op_type == "Gather" and indices is not None and indices.ndim == 0 else "vector"
    elif node.op_type == "Shape":
        sizes = _part(list(asked.shape), node)
    if not sizes:
        return None
    found = [size if isinstance(size, int) else _dimension(size, boundary) for size in sizes]
    known = tuple(element for element in found if element is not None)
    return Root(value=value, elements=known, form=form) if len(known) == len(found) else None


def _part(sizes: list[int | ir.SymbolicDim], node: ir.Node) -> list[int | ir.SymbolicDim]:
    """What `Shape` takes with its attributes `start` and `end`."""
    start, end = (node.attributes.get(name) for name in ("start", "end"))
    return sizes[slice(start.as_int() if start else 0, end.as_int() if end else None)]


def _chosen(sizes: list[int | ir.SymbolicDim], node: ir.Node) -> list[int | ir.SymbolicDim] | None:
    """What `Gather` or `Slice` with fixed indices takes of a vector; None where this is no plain choice."""
    given = [_constant(value) for value in node.inputs[1:]]
    if node.op_type == "Gather":
        indices = given[0]
        if indices is None or indices.ndim > 1 or any(not -len(sizes) <= index < len(sizes) for index in indices.flat):
            return None
        return [sizes[index] for index in indices.flat]
    if len(given) < 2 or any(array is not None and array.size != 1 for array in given):
        return None
    start, end, _axis, step = (*(None if array is None else int(array.item()) for array in given), None, None)[:4]
    return sizes[start:end] if step in {None, 1} else None


def _dimension(size: ir.SymbolicDim, boundary: Sequence[ir.Value]) -> Dimension | None:
    """A dimension of what crosses that is a multiple of the same named one."""
    wanted = _multiple(size)
    if wanted is None:
        return None
    name, times = wanted
    for value in boundary:
        for axis, other in zip(range(len(value.shape or ())), value.shape or (), strict=True):
            found = None if isinstance(other, int) else _multiple(other)
            if found is not None and found[0] == name:
                common = np.gcd(times, found[1])
                return Dimension(value=value, axis=axis, times=int(times // common), over=int(found[1] // common))
    return None


def _multiple(size: ir.SymbolicDim) -> tuple[str, int] | None:
    """`8*batch` as ("batch", 8); None for anything that is no multiple of one named dimension."""
    if size.value is None:
        return None
    try:
        (name,) = size.free_symbols()
        once, twice, seven = (size.evaluate({name: count}) for count in (1, 2, 7))
    except ValueError:
        return None
    if not (isinstance(once, int) and isinstance(twice, int) and isinstance(seven, int)) or once < 1:
        return None
    return (name, once) if (twice, seven) == (2 * once, 7 * once) else None


def rebuild(tail: ir.Graph, root: Root) -> None:
    """Replace the input of the tail that stands for `root` by nodes that compute it from what crosses."""
    inputs = {name_of(value): value for value in tail.inputs}
    placeholder = inputs[name_of(root.value)]
    tail.inputs.remove(placeholder)
    builder = _Builder(tail, name_of(placeholder))
    parts = [
        builder.constant([element]) if isinstance(element, int) else builder.dimension(inputs[name_of(element.value)], element)
        for element in root.elements
    ]
    # One node at least, so that the result is computed and may bear the name of an output.
    result = builder.node("Concat", parts, axis=0)
    if root.form == "scalar":
        result = builder.node("Reshape", [result, builder.constant([])])
    elif root.form == "product":
        result = builder.node("ReduceProd", [result], keepdims=0)
    result.name, result.dtype = placeholder.name, ir.DataType.INT64
    result.shape = ir.Shape([len(parts)] if root.form == "vector" else [])
    placeholder.replace_all_uses_with(result, replace_graph_outputs=True)
    first = next(iter(tail), None)
    if first is None:
        tail.extend(builder.nodes)
    else:
        tail.insert_before(first, builder.nodes)


class _Builder:
    """Nodes and initialisers with names of their own, for one rebuilt value."""

    def __init__(self, graph: ir.Graph, name: str) -> None:
        self.nodes: list[ir.Node] = []
        self._graph = graph
        self._name = name
        self._count = 0

    def constant(self, numbers: Iterable[int]) -> ir.Value:
        name = self._fresh()
        array = np.array(list(numbers), dtype=np.int64)
        value = ir.Value(name=name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(array.shape))
        value.const_value = ir.tensor(array, name=name)
        self._graph.register_initializer(value)
        return value

    def node(self, operator: str, inputs: Sequence[ir.Value], **attributes: int) -> ir.Value:
        node = ir.node(operator, inputs, attributes=attributes, name=self._fresh())
        node.outputs[0].name = self._fresh()
        self.nodes.append(node)
        return node.outputs[0]

    def dimension(self, value: ir.Value, element: Dimension) -> ir.Value:
        size = self.node("Gather", [self.node("Shape", [value]), self.constant([element.axis])], axis=0)
        if element.times != 1:
            size = self.node("Mul", [size, self.constant([element.times])])
        return size if element.over == 1 else self.node("Div", [size, self.constant([element.over])])

    def _fresh(self) -> str:
        self._count += 1
        return f"{self._name}_rerooted_{self._count}"
