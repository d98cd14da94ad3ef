"""Inputs and outputs of two models side by side: whether one can stand where the other does."""

import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.graph.flow import data_inputs, name_of


def called_alike(model: ir.Model, wanted: ir.Model, *, who: str) -> ir.Model:
    """A copy of a model whose inputs and outputs have the names of another model's.

    Args:
        model: what shall stand in its place.
        wanted: the other model.
        who: what the user gave, for the message.

    Raises:
        ExportError: types or shapes differ; the batch may.
    """
    taken, given = data_inputs(model.graph), data_inputs(wanted.graph)
    for side, ports, others in (("input", taken, given), ("output", model.graph.outputs, wanted.graph.outputs)):
        spelled = [[_spelled(value) for value in values] for values in (ports, others)]
        if spelled[0] != spelled[1]:
            raise ExportError(
                f"{who}: its {side} is {', '.join(spelled[0])}, that of the network {', '.join(spelled[1])}; "
                "one prepared picture goes into both"
            )
    return _renamed(model, wanted)


def _spelled(value: ir.Value) -> str:
    """Type and shape without the batch."""
    shape = () if value.shape is None else tuple(value.shape)[1:]
    return f"{value.dtype}[batch, {', '.join(str(size) if isinstance(size, int) else 'any' for size in shape)}]"


def _renamed(model: ir.Model, wanted: ir.Model) -> ir.Model:
    """A value inside that has such a name gets another."""
    clone = model.clone()
    ports = [*data_inputs(clone.graph), *clone.graph.outputs]
    names = [name_of(value) for value in (*data_inputs(wanted.graph), *wanted.graph.outputs)]
    inner = [value for node in clone.graph for value in node.outputs if value.name in names]
    for value in [*inner, *ports]:
        value.name = f"{value.name}_own"
    for value, name in zip(ports, names, strict=True):
        value.name = name
    return clone
