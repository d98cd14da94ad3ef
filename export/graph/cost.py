"""What a graph costs: arithmetic and parameters, counted from shapes alone.

Convention, the same wherever Isthmus prints a number:

* One multiply-add counts as **2 FLOPs**, also between integers. Convolutions, matrix products, Einstein sums, recurrent cells and
  attention are counted, of the standard and of onnxruntime's quantised and fused kernels; bias, quantising, normalisation,
  activation, pooling and every other element-wise step count 0, as in the literature on split computing.
* Batch is 1. A node whose shapes are unknown counts 0.
* An `If` counts its dearer branch; the body of a `Loop` or `Scan` counts once, for the number of turns is not in the graph.
* A **parameter** is an element of an initialiser that is a float or a number of 8 bits or fewer (a quantised weight).
  Wider integers are shapes, axes and indices and do not count.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from isthmus.export.graph.flow import FLOAT_TYPES, SHAPE_OPERATORS, dimensions, needed, reads, subgraphs


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of a graph at batch 1.

    Attributes:
        flops: floating-point operations, 2 per multiply-add.
        parameters: elements of the weights.
        parameter_bytes: bytes of those weights as stored.
    """

    flops: int
    parameters: int
    parameter_bytes: int


def of_graph(graph: ir.Graph) -> Cost:
    """Cost of everything in a graph that reaches an output, each shared weight counted once."""
    nodes = needed(graph)
    weights = {value for node in nodes for value in reads(node)} | set(graph.outputs)
    return Cost(
        flops=sum(map(node_flops, nodes)),
        parameters=sum(map(parameter_count, weights)),
        parameter_bytes=sum(map(parameter_bytes, weights)),
    )


def node_flops(node: ir.Node) -> int:
    """FLOPs of one node at batch 1; 0 for element-wise operators and where a shape is unknown."""
    bodies = [sum(map(node_flops, body)) for body in subgraphs(node)]
    if bodies:
        return max(bodies)
    count = _COUNTERS.get(node.op_type)
    return 0 if count is None else count(node)


def parameter_count(value: ir.Value) -> int:
    """Elements of an initialiser that counts as a weight, else 0."""
    if not value.is_initializer() or value.dtype is None:
        return 0
    if value.dtype not in FLOAT_TYPES and not (value.dtype.bitwidth <= 8 and value.dtype != ir.DataType.BOOL):
        return 0
    return prod(dimensions(value) or ()) if value.shape is not None else 0


def parameter_bytes(value: ir.Value) -> int:
    """Bytes of an initialiser that counts as a weight, else 0."""
    count = parameter_count(value)
    return 0 if value.dtype is None else (count * value.dtype.bitwidth + 7) // 8


def weights_of(node: ir.Node, *, seen: set[ir.Value]) -> Iterable[ir.Value]:
    """Initialisers a node needs, directly or through constant nodes, that are not in `seen`; adds what it visits to `seen`."""
    stack = list(reads(node))
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        producer = value.producer()
        if value.is_initializer():
            yield value
        elif producer is not None and producer.op_type not in SHAPE_OPERATORS:
            stack.extend(reads(producer))


def _sizes(node: ir.Node, index: int) -> tuple[int, ...] | None:
    if index >= len(node.inputs):
        return None
    value = node.inputs[index]
    return None if value is None else dimensions(value)


def _output_sizes(node: ir.Node) -> tuple[int, ...] | None:
    return dimensions(node.outputs[0])


def _integer(node: ir.Node, name: str, default: int = 0) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _convolution(weight_index: int) -> Callable[[ir.Node], int]:
    """Every output element takes one product per input channel of its group and kernel tap: `prod(weight.shape[1:])`."""

    def count(node: ir.Node) -> int:
        output, weight = _output_sizes(node), _sizes(node, weight_index)
        return 0 if output is None or weight is None else 2 * prod(output) * prod(weight[1:])

    return count


def _transposed_convolution(node: ir.Node) -> int:
    """Every input element is spread over `weight.shape[1:]`: output channels of its group and kernel taps."""
    source, weight = _sizes(node, 0), _sizes(node, 1)
    return 0 if source is None or weight is None else 2 * prod(source) * prod(weight[1:])


def _matrix_product(node: ir.Node) -> int:
    output, left = _output_sizes(node), _sizes(node, 0)
    if output is None or not left:
        return 0
    inner = left[0] if node.op_type in {"Gemm", "QGemm"} and _integer(node, "transA") else left[-1]
    return 2 * prod(output) * inner


def _recurrent(node: ir.Node) -> int:
    """`X[time, batch, feature]` through `W[direction, gates, feature]` and `R[direction, gates, hidden]`."""
    source, weight, recurrence = (_sizes(node, index) for index in range(3))
    if source is None or weight is None or recurrence is None:
        return 0
    return 2 * prod(source[:2]) * (prod(weight) + prod(recurrence))


def _projecting_attention(node: ir.Node) -> int:
    """The kernel of onnxruntime: `x[batch, token, feature]` through `weight[feature, queries + keys + values]`, two products."""
    source, weight = _sizes(node, 0), _sizes(node, 1)
    if source is None or weight is None or len(source) != 3:
        return 0
    return 2 * prod(source) * weight[-1] + 4 * source[0] * source[1] ** 2 * (weight[-1] // 3)


def _attention(node: ir.Node) -> int:
    """Queries with keys, and weights with values; 4D `[batch, head, token, feature]` or 3D with the heads in the features.

    Keys of the past count where the graph gives the length of all of them, as the second output does.
    """
    if node.op_type == "Attention" and node.domain == "com.microsoft":
        return _projecting_attention(node)
    query, key, output = _sizes(node, 0), _sizes(node, 1), _output_sizes(node)
    if query is None or key is None or len(key) < 3:
        return 0
    present = dimensions(node.outputs[1]) if len(node.outputs) > 1 else None
    tokens = present[-2] if present is not None and len(present) == 4 else key[-2]
    return 2 * tokens * (prod(query) + prod(output or query))


def _einstein_sum(node: ir.Node) -> int:
    """Operands are joined from left to right; a step that sums over something costs two for each combination of its indices."""
    terms, result = _indices(node)
    shapes = [_sizes(node, index) for index in range(len(terms))]
    if any(shape is None or len(shape) != len(term) for term, shape in zip(terms, shapes, strict=True)):
        return 0
    length: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for index, size in zip(term, shape or (), strict=True):
            length[index] = max(size, length.get(index, 1))
    total, joined = 0, set(terms[0])
    for position in range(1, len(terms)):
        joined |= set(terms[position])
        wanted = set(result).union(*terms[position + 1 :])
        if joined - wanted:
            total += 2 * prod(length[index] for index in joined)
        joined &= wanted
    return total


def _indices(node: ir.Node) -> tuple[list[list[str]], list[str]]:
    """Index names of every operand and of the result; those of an ellipsis are numbered from the right."""
    left, arrow, right = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        right = "..." + "".join(letter for letter in letters if letters.count(letter) == 1)
    ranks = [len(_sizes(node, index) or ()) for index in range(len(terms))]
    spared = max((rank - len(term) + 3 for rank, term in zip(ranks, terms, strict=True) if "..." in term), default=0)
    hidden = [[f".{number}" for number in range(rank - len(term) + 3, 0, -1)] for rank, term in zip(ranks, terms, strict=True)]
    expanded = [_expanded(term, names) for term, names in zip(terms, hidden, strict=True)]
    return expanded, _expanded(right, [f".{number}" for number in range(spared, 0, -1)])


def _expanded(term: str, hidden: list[str]) -> list[str]:
    before, dots, after = term.partition("...")
    return [*before, *(hidden if dots else []), *after]


_COUNTERS: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _convolution(1),
    "FusedConv": _convolution(1),
    "ConvInteger": _convolution(1),
    "DeformConv": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    "MatMul": _matrix_product,
    "FusedMatMul": _matrix_product,
    "MatMulInteger": _matrix_product,
    "MatMulIntegerToFloat": _matrix_product,
    "DynamicQuantizeMatMul": _matrix_product,
    "QLinearMatMul": _matrix_product,
    "Gemm": _matrix_product,
    "QGemm": _matrix_product,
    "Einsum": _einstein_sum,
    "LSTM": _recurrent,
    "DynamicQuantizeLSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Attention": _attention,
    "QAttention": _projecting_attention,
    "MultiHeadAttention": _attention,
}
