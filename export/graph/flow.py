"""What an ONNX graph says about its data: which values come from an input, which only from shapes, and who reads what.

Three kinds of value, told apart once in `Flow`:

* *data*: computed from the content of a graph input. Only these can be cut.
* *shape-only*: reached from an input through `Shape` or `Size` alone. They are small integers (and what is expanded from
  them) that either half can compute for itself if it knows the dimension.
* *constant*: everything else; each half takes its own copy of the initialisers it reads.

A node may read values from outside through the subgraphs of `If`, `Loop` and `Scan`; `reads` counts those too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

BATCH = "batch"
"""Name of the batch dimension in every model that has passed a door."""

PICTURE_CHANNELS = (1, 3)
"""Grey and colour; an axis of another size is not taken for the channels of a picture."""

SHAPE_OPERATORS = frozenset({"Shape", "Size"})
"""Operators whose result depends on the dimensions of their input and not on its content."""

SEQUENCE_OPERATORS = frozenset(
    {"Optional", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceMap", "SplitToSequence"}
)
"""Operators that give a sequence or an optional; the shape inference of onnx-ir declares the elements' tensor type for them."""

HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})

FLOAT_TYPES = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How data runs through one graph.

    Attributes:
        order: nodes that depend on an input and reach an output, in topological order.
        data: values computed from the content of an input, the inputs included.
        shapes: values computed from dimensions of data values only.
        last_read: per data value the position in `order` of its last reader; `len(order)` for an output of the graph.
    """

    order: tuple[ir.Node, ...]
    data: frozenset[ir.Value]
    shapes: frozenset[ir.Value]
    last_read: dict[ir.Value, int]

    def alive_after(self, position: int, value: ir.Value) -> bool:
        """True when something after the node at `position` in `order` still needs `value`."""
        return self.last_read.get(value, -1) > position


def is_standard(node: ir.Node) -> bool:
    """True for an operator of the ONNX standard itself, not of an extension domain."""
    return node.domain in {"", "ai.onnx"}


def subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The bodies a control-flow node carries in its attributes; not recursive."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def reads(node: ir.Node) -> tuple[ir.Value, ...]:
    """Every value of the surrounding graph a node needs: its inputs, then what its subgraphs capture; each once."""
    found = dict.fromkeys(value for value in node.inputs if value is not None)
    for body in subgraphs(node):
        found.update(dict.fromkeys(_captured(body)))
    return tuple(found)


def _captured(body: ir.Graph) -> Iterator[ir.Value]:
    """Values read inside `body` that are defined outside it."""
    own = set(body.inputs) | set(body.initializers.values())
    for node in body:
        own.update(node.outputs)
    for node in body:
        yield from (value for value in reads(node) if value not in own)
    yield from (value for value in body.outputs if value not in own)


def analyse(graph: ir.Graph) -> Flow:
    """Sort the values of a topologically ordered graph into data, shape-only and constant."""
    data, shapes = _classify(graph)
    order = tuple(node for node in needed(graph) if any(value in data for value in node.outputs))
    last_read = {value: position for position, node in enumerate(order) for value in reads(node) if value in data}
    last_read |= {value: len(order) for value in graph.outputs if value in data}
    return Flow(order=order, data=frozenset(data), shapes=frozenset(shapes), last_read=last_read)


def _classify(graph: ir.Graph) -> tuple[set[ir.Value], set[ir.Value]]:
    data: set[ir.Value] = set(data_inputs(graph))
    shapes: set[ir.Value] = set()
    for node in graph:
        sources = reads(node)
        if node.op_type in SHAPE_OPERATORS and is_standard(node):
            if any(value in data or value in shapes for value in sources):
                shapes.update(node.outputs)
        elif any(value in data for value in sources):
            data.update(node.outputs)
        elif any(value in shapes for value in sources):
            shapes.update(node.outputs)
    return data, shapes


def needed(graph: ir.Graph) -> tuple[ir.Node, ...]:
    """Nodes with a path to an output of the graph, in the order of the graph."""
    wanted = set(graph.outputs)
    kept = []
    for node in reversed(graph):
        if any(value in wanted for value in node.outputs):
            wanted.update(reads(node))
            kept.append(node)
    return tuple(reversed(kept))


def data_inputs(graph: ir.Graph) -> tuple[ir.Value, ...]:
    """Inputs a caller must feed: old files list their initialisers among the inputs, and those are not."""
    return tuple(value for value in graph.inputs if not value.is_initializer())


def name_of(value: ir.Value) -> str:
    """Name of a value; a value without one (never after a door) is an empty name."""
    return value.name or ""


def batch_symbol(graph: ir.Graph) -> str | None:
    """Name of dimension 0 of the first fed input, or None when it is fixed, unnamed or absent."""
    for value in data_inputs(graph):
        if value.shape is not None and len(value.shape) > 0:
            first = value.shape[0]
            return None if isinstance(first, int) else first.value
    return None


def dimensions(value: ir.Value, *, batch: int = 1) -> tuple[int, ...] | None:
    """Sizes of a value with every batch dimension set to `batch`.

    The dimension named `batch` and products of it (`8*batch`) are evaluated; any other free dimension makes the answer None.
    """
    if value.shape is None:
        return None
    sizes = [_size(dimension, batch) for dimension in value.shape]
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == len(sizes) else None


def _size(dimension: int | ir.SymbolicDim, batch: int) -> int | None:
    if isinstance(dimension, int):
        return dimension
    if dimension.value is None:
        return None
    if dimension.value == BATCH:
        return batch
    if BATCH not in dimension.value:
        return None
    try:
        evaluated = dimension.evaluate({BATCH: batch})
    except ValueError:
        return None
    return evaluated if isinstance(evaluated, int) else None


def size_bytes(value: ir.Value, *, batch: int = 1) -> int | None:
    """Bytes of a value as stored, packed to whole bytes for types below 8 bits; None when a size or the type is unknown."""
    sizes = dimensions(value, batch=batch)
    if sizes is None or value.dtype is None or value.dtype in {ir.DataType.UNDEFINED, ir.DataType.STRING}:
        return None
    return (prod(sizes) * value.dtype.bitwidth + 7) // 8


def is_tensor(value: ir.Value) -> bool:
    """True when a value can cross: a dense tensor of known numeric type and rank; no sequence, no optional, no strings."""
    if not isinstance(value.type, ir.TensorType) or value.shape is None or is_sequence(value):
        return False
    return value.dtype not in {None, ir.DataType.UNDEFINED, ir.DataType.STRING}


def is_sequence(value: ir.Value) -> bool:
    """True for a sequence or an optional, by its type or by the operator that makes it, also inside a control-flow body."""
    if isinstance(value.type, (ir.SequenceType, ir.OptionalType)):
        return True
    node = value.producer()
    if node is None:
        return False
    if node.op_type in SEQUENCE_OPERATORS:
        return True
    if node.op_type == "Identity":
        return any(is_sequence(given) for given in node.inputs if given is not None)
    return any(is_sequence(result) for body in subgraphs(node) for result in body.outputs)


def ancestors(value: ir.Value, *, stop_at: frozenset[ir.Value] | set[ir.Value] = frozenset()) -> set[ir.Value]:
    """`value` and everything it is computed from, not looking behind the values in `stop_at`."""
    seen: set[ir.Value] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        producer = current.producer()
        if current not in stop_at and producer is not None:
            stack.extend(reads(producer))
    return seen
