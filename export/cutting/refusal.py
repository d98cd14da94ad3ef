"""Why a name that a graph does have is no place to cut."""

from collections.abc import Iterator

import onnx_ir as ir

from isthmus.export.graph.flow import analyse, data_inputs, is_sequence, is_tensor, name_of, subgraphs


def why_no_cut(graph: ir.Graph, name: str) -> str | None:
    """Say in one line why no cut is at the tensor or node `name`; None when the graph has no such name.

    Args:
        graph: a topologically ordered graph.
        name: of a tensor or a node, also of one inside a control-flow body.
    """
    for outer in graph:
        if name in _names_inside(outer):
            after = ", ".join(repr(name_of(value)) for value in outer.outputs)
            return (
                f"{name!r} lies inside a body of {outer.op_type} (node {outer.name!r}), and control flow is not cut inside; "
                f"name a tensor before it, or what it computes: {after}"
            )
    if name in graph.initializers:
        return f"{name!r} is a weight of the model, the same for every input; name a tensor that is computed from an input"
    if any(name == name_of(value) for value in data_inputs(graph)):
        return f"{name!r} is an input of the model, a cut there would leave the head nothing to compute; name a later tensor"
    for node in graph:
        if node.name == name or any(name == name_of(value) for value in node.outputs):
            return _why_not_after(graph, node, name)
    return None


def _names_inside(node: ir.Node) -> set[str]:
    return {name for body in subgraphs(node) for name in _names(body)}


def _names(body: ir.Graph) -> Iterator[str]:
    yield from (name_of(value) for value in body.inputs)
    yield from body.initializers
    for node in body:
        yield node.name or ""
        yield from (name_of(value) for value in node.outputs)
        yield from _names_inside(node)


def _why_not_after(graph: ir.Graph, node: ir.Node, name: str) -> str:
    flow = analyse(graph)
    if any(value in flow.shapes for value in node.outputs):
        return f"{name!r} is computed from dimensions alone, which both halves know; name a tensor that holds data"
    if not any(value in flow.data for value in node.outputs):
        return f"{name!r} is a constant, the same for every input; name a tensor that is computed from an input"
    if node not in flow.order:
        return f"{name!r} reaches no output of the model; name a tensor on the way to one"
    position = flow.order.index(node)
    computed = (value for before in flow.order[: position + 1] for value in before.outputs)
    strange = [value for value in computed if flow.alive_after(position, value) and not is_tensor(value)]
    if strange and position < len(flow.order) - 1:
        kinds = ", ".join(f"{name_of(value)!r} ({_kind(value)})" for value in strange)
        return f"no cut after {name!r}: {kinds} would cross, and only dense tensors of known type and rank can"
    return f"{name!r} is computed last, a cut there would leave the tail nothing to compute; name an earlier tensor"


def _kind(value: ir.Value) -> str:
    if value.dtype == ir.DataType.STRING:
        return "strings"
    if is_sequence(value):
        return "a sequence or an optional"
    return "of unknown type or rank"
