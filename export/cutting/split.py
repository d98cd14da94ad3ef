"""Cut an ONNX model in two, and join two into one.

A split is exact: the head ends with the cut tensors, the tail starts with them, and each carries only the initialisers it
reads. What the tail wants to know about the *dimensions* of head tensors (`Shape` nodes that feed a later `Reshape`) is
rebuilt from what crosses, see `reroot`; where that is not possible the tiny result of the `Shape` node crosses as an
auxiliary tensor. An output of the model that the head computes crosses, and the tail hands it through.

Neither function changes the models it is given.
"""

from dataclasses import dataclass

import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.cutting.cuts import Cut
from isthmus.export.cutting.reroot import rebuild, survey
from isthmus.export.graph.flow import Flow, analyse, ancestors, data_inputs, name_of
from isthmus.export.graph.merge import merge

__all__ = ["Halves", "merge", "split"]


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
    computed = {value for node in flow.order[: cut.index + 1] for value in node.outputs}
    head_side = (set(data_inputs(model.graph)) | computed) - set(boundary)
    rerooted, auxiliary = survey(model.graph, head_side, boundary)

    head = _extract(model, [*cut_values, *auxiliary], data_inputs(model.graph))
    tail = _extract(model, list(model.graph.outputs), [*boundary, *auxiliary, *(root.value for root in rerooted)])
    for root in rerooted:
        rebuild(tail.graph, root)
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


def _declare_shape_tensor(source: ir.Value, copies: tuple[ir.Value, ...]) -> None:
    """Give the copies of a `Shape` or `Size` result, at both ends of the cut, the type inference may not have found."""
    producer = source.producer()
    is_vector = producer is not None and producer.op_type == "Shape"
    for copy in copies:
        if copy.name == source.name:
            copy.dtype = ir.DataType.INT64
            copy.shape = copy.shape or ir.Shape([None] if is_vector else [])
