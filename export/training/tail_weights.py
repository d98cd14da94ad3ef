"""The weights of a tail that training may change, and how they get back into it.

Changed are weights and biases of convolutions, matrix products and normalisations. Statistics of batch norms, bounds and other
constants stay: a variance that a gradient made negative, or a shape that moved, would be another network.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.graph.flow import FLOAT_TYPES, is_standard, name_of, needed, subgraphs

PLACES = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "PRelu": (1,),
}
"""Operator -> places of its weights among its inputs."""


def trainable(model: ir.Model) -> frozenset[str]:
    """Names of the float initialisers that training may change: those that nothing reads as anything else.

    Exporters store equal arrays once, so that a bias of zeros can be the mean of a batch norm as well.
    """
    weights: set[str] = set()
    others: set[str] = set(map(name_of, model.graph.outputs))
    for node in needed(model.graph):
        places = _weight_places(node)
        for place, value in enumerate(node.inputs):
            if value is not None and value.is_initializer():
                is_weight = place in places and value.dtype in FLOAT_TYPES
                (weights if is_weight else others).add(name_of(value))
        others |= {name_of(value) for body in subgraphs(node) for inner in body for value in inner.inputs if value is not None}
    return frozenset(weights - others)


def _weight_places(node: ir.Node) -> tuple[int, ...]:
    """Places of a node's weights among its inputs; what is added to a matrix product is one, as for a linear layer of tokens."""
    if not is_standard(node):
        return ()
    if node.op_type != "Add":
        return PLACES.get(node.op_type, ())
    producers = [None if value is None else value.producer() for value in node.inputs]
    return (0, 1) if any(made is not None and made.op_type == "MatMul" for made in producers) else ()


def written(model: ir.Model, weights: Mapping[str, np.ndarray]) -> ir.Model:
    """A copy of a model with other values in some of its initialisers, in the types that these have.

    Args:
        model: not changed.
        weights: by name, of the shape of the initialiser.

    Raises:
        ExportError: the model has no such initialiser, or it is of another shape, or a value does not fit its type.
    """
    copy = model.clone()
    for name, array in weights.items():
        value = copy.graph.initializers.get(name)
        if value is None or value.const_value is None or tuple(value.const_value.shape.numpy()) != array.shape:
            raise ExportError(f"the tail has no weights {name!r} of shape {list(array.shape)} to write the trained ones to")
        with np.errstate(over="ignore"):
            stored = array.astype(value.const_value.dtype.numpy())
        if not np.isfinite(stored).all():
            raise ExportError(f"the trained weights {name!r} do not fit {value.const_value.dtype}; train the network in float32")
        value.const_value = ir.tensor(stored, name=name)
    return copy
