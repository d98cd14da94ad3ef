"""Join two ONNX models: outputs of the first become inputs of the second.

What remains visible keeps its name: the inputs of the first model, and the outputs of the second. Everything inside the
second that would collide with a name of the first is renamed.
"""

from collections.abc import Iterator

import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.graph import opset
from isthmus.export.graph.flow import name_of, subgraphs


def merge(first: ir.Model, second: ir.Model, *, join: dict[str, str]) -> ir.Model:
    """Feed outputs of `first` to inputs of `second`.

    Args:
        first: runs first.
        second: runs on what `first` computes.
        join: name of an output of `first` -> name of the input of `second` that it becomes.

    Returns:
        A new model. Inputs: those of `first`, then those of `second` that nothing is joined to; one that bears the name of
        an input of `first` is that input. Outputs: those of `second`, then those of `first` that were not joined.

    Raises:
        ExportError: a name in `join` does not exist or is given twice, dtypes or fixed dimensions of a pair differ, a
            name that stays visible means two things, or the opsets differ and cannot be made equal.
    """
    first, second = _same_opsets(first.clone(), second.clone())
    before, after = first.graph, second.graph
    pairs = _pairs(before, after, join)
    joined_outputs = {name_of(source) for source, _ in pairs}
    kept_outputs = [value for value in before.outputs if name_of(value) not in joined_outputs]
    fed = {target for _, target in pairs}
    _check_visible(before, kept_outputs, after, [value for value in after.inputs if value not in fed])

    _separate_names(before, after, fed)
    for source, target in pairs:
        _replace(source, target, after)
    shared = {name_of(value): value for value in before.inputs}
    inputs = list(before.inputs)
    for value in after.inputs:
        if value in fed:
            continue
        if name_of(value) in shared:
            _check_pair(shared[name_of(value)], value)
            value.replace_all_uses_with(shared[name_of(value)], replace_graph_outputs=True)
        else:
            inputs.append(value)
    return _assemble(first, second, inputs, [*after.outputs, *kept_outputs])


def _same_opsets(first: ir.Model, second: ir.Model) -> tuple[ir.Model, ir.Model]:
    """Raise the lower of both to the default-domain opset of the higher."""
    one, other = first.opset_imports.get(""), second.opset_imports.get("")
    if one is None or other is None or one == other:
        return first, second
    lower, target = (first, other) if one < other else (second, one)
    converted = opset.converted(lower, target)
    if converted is None:
        raise ExportError(
            f"cannot join a model of opset {one} to one of opset {other}: the converter does not bring the lower to "
            f"{target}; export both with the same opset"
        )
    return (converted, second) if one < other else (first, converted)


def _pairs(before: ir.Graph, after: ir.Graph, join: dict[str, str]) -> list[tuple[ir.Value, ir.Value]]:
    outputs = {name_of(value): value for value in before.outputs}
    inputs = {name_of(value): value for value in after.inputs}
    if len(set(join.values())) != len(join):
        raise ExportError(f"two outputs are joined to one input: {join}")
    for name, target in join.items():
        if name not in outputs:
            raise ExportError(f"the first model has no output {name!r} to join; it has {', '.join(outputs)}")
        if target not in inputs:
            raise ExportError(f"the second model has no input {target!r} to join; it has {', '.join(inputs)}")
        _check_pair(outputs[name], inputs[target])
    return [(outputs[name], inputs[target]) for name, target in join.items()]


def _check_pair(source: ir.Value, target: ir.Value) -> None:
    if source.dtype is not None and target.dtype is not None and source.dtype != target.dtype:
        raise ExportError(f"{source.name!r} is {source.dtype.name} and {target.name!r} wants {target.dtype.name}; cast one")
    if source.shape is None or target.shape is None:
        return
    clash = any(
        isinstance(size, int) and isinstance(wanted, int) and size != wanted
        for size, wanted in zip(source.shape, target.shape, strict=False)
    )
    if clash or len(source.shape) != len(target.shape):
        raise ExportError(f"{source.name!r} has shape {source.shape} and {target.name!r} wants {target.shape}")


def _check_visible(before: ir.Graph, kept: list[ir.Value], after: ir.Graph, unfed: list[ir.Value]) -> None:
    """Names that stay visible must mean one thing; only inputs may be shared."""
    kept_names = {name_of(value) for value in kept}
    for value in (*after.outputs, *unfed):
        if name_of(value) in kept_names:
            raise ExportError(f"{name_of(value)!r} is an output of the first model and visible in the second; join or rename it")
    inputs = {name_of(value) for value in before.inputs}
    for value in after.outputs:
        if name_of(value) in inputs and not value.is_graph_input():
            raise ExportError(f"{name_of(value)!r} is an input of the first model and an output of the second; rename one")


def _replace(source: ir.Value, target: ir.Value, after: ir.Graph) -> None:
    """Let `source` take the place of the input `target`, also where `target` is handed through to an output."""
    if target in after.outputs:
        node = ir.node("Identity", [source], name=f"{name_of(target)}_handed_through")
        result = node.outputs[0]
        result.name, result.shape, result.type = name_of(target), target.shape, target.type
        after.outputs[list(after.outputs).index(target)] = result
        after.append(node)
    target.replace_all_uses_with(source, replace_graph_outputs=True)


def _separate_names(before: ir.Graph, after: ir.Graph, fed: set[ir.Value]) -> None:
    """Rename what collides: inside the second model, or inside the first where the second's name stays visible.

    Inputs keep their names; equal ones are the same input, and joined ones disappear.
    """
    visible = {name_of(value) for value in (*before.inputs, *before.outputs, *after.inputs, *after.outputs)}
    mine, theirs = list(_inner_values(before)), list(_inner_values(after))
    taken = visible | {name_of(value) for value in (*mine, *theirs)}
    kept = {name_of(value) for value in (*after.outputs, *after.inputs) if value not in fed or value.is_graph_output()}
    for value in (*mine, *before.outputs):
        if name_of(value) in kept and not value.is_graph_input():
            value.name = _fresh(name_of(value), taken)
    owned = {name_of(value) for value in (*mine, *before.inputs, *before.outputs)}
    for value in theirs:
        if name_of(value) in owned:
            value.name = _fresh(name_of(value), taken)
    node_names = {node.name for node in _all_nodes(before)}
    for node in _all_nodes(after):
        if node.name in node_names:
            node.name = _fresh(node.name or "node", node_names)


def _inner_values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Every value of a graph and its bodies that is neither an input nor an output of the graph itself."""
    for value in graph.initializers.values():
        if not value.is_graph_input() and not value.is_graph_output():
            yield value
    for node in graph:
        yield from (value for value in node.outputs if not value.is_graph_output())
        for body in subgraphs(node):
            yield from body.inputs
            yield from (value for value in body.outputs if value.producer() is not None)
            yield from _inner_values(body)


def _all_nodes(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in graph:
        yield node
        for body in subgraphs(node):
            yield from _all_nodes(body)


def _fresh(name: str, taken: set[str | None] | set[str]) -> str:
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    fresh = f"{name}_{number}"
    taken.add(fresh)
    return fresh


def _assemble(first: ir.Model, second: ir.Model, inputs: list[ir.Value], outputs: list[ir.Value]) -> ir.Model:
    view = ir.GraphView(
        inputs,
        outputs,
        nodes=[*first.graph, *second.graph],
        initializers=[*first.graph.initializers.values(), *second.graph.initializers.values()],
        opset_imports={**first.opset_imports, **second.opset_imports},
        name=second.graph.name or "merged",
    )
    functions = {**first.functions, **second.functions}
    return ir.Model(
        view.clone(),
        ir_version=max(first.ir_version, second.ir_version),
        producer_name="isthmus",
        functions=[function.clone() for function in functions.values()],
    )
