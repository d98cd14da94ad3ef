"""Fold a constant factor per channel into the convolution or matrix product before it.

A positive factor passes a `Relu`, since relu(x) s = relu(x s). What the head computes stays the same but for the order of two
float operations; the device saves one pass over the tensor, and the last layer of the head gives code units, which is
where an int8 head takes the quantiser of the wire for that of its last layer.
"""

import numpy as np
import onnx_ir as ir

from isthmus.export.graph import is_standard

_WEIGHTED = {"Conv": 0, "Gemm": 1}
"""Operators -> axis of the output channel in their weights, for `Gemm` without transposition."""


def fold_scales(model: ir.Model) -> bool:
    """Fold, in place, every `Mul` that the head of this module speaks of; True if there was one."""
    found = [node for node in model.graph if node.op_type == "Mul" and is_standard(node)]
    folded = [node for node in found if _fold(model, node)]
    return bool(folded)


def _fold(model: ir.Model, product: ir.Node) -> bool:
    value, scale = product.inputs
    factor = _factor(scale)
    if value is None or factor is None:
        return False
    producer = _only_read_by(value, product)
    if producer is not None and producer.op_type == "Relu" and (factor > 0).all() and producer.inputs[0] is not None:
        producer = _only_read_by(producer.inputs[0], producer)
    if producer is None or producer.op_type not in _WEIGHTED or not _scale_weights(model, producer, factor):
        return False
    output = product.outputs[0]
    value.shape, value.type = output.shape, output.type
    if output.is_graph_output():
        return False
    output.replace_all_uses_with(value)
    model.graph.remove(product, safe=True)
    return True


def _factor(value: ir.Value | None) -> np.ndarray | None:
    """A constant float32[1, channel, 1, ...]; None for anything else."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    if tensor is None:
        return None
    array = tensor.numpy()
    is_column = array.ndim >= 2 and array.size == array.shape[1] and array.dtype == np.float32
    return array if is_column else None


def _only_read_by(value: ir.Value, reader: ir.Node) -> ir.Node | None:
    """What computes `value`, if nothing but `reader` reads it."""
    readers = list(value.consumers())
    return value.producer() if readers == [reader] and not value.is_graph_output() else None


def _scale_weights(model: ir.Model, node: ir.Node, factor: np.ndarray) -> bool:
    arrays = [None if value is None else _owned(value, node) for value in node.inputs[1:3]]
    weights, bias = arrays[0], arrays[1] if len(arrays) > 1 else None
    if weights is None or (len(node.inputs) > 2 and node.inputs[2] is not None and bias is None):
        return False
    axis = _channel_axis(node)
    # A factor of fewer axes than the value would lie along another axis than the channel.
    if axis is None or factor.ndim != weights.ndim or weights.shape[axis] != factor.size:
        return False
    if bias is not None and bias.size != factor.size:
        return False
    _replace(model, node, 1, weights * factor.reshape([-1 if place == axis else 1 for place in range(weights.ndim)]))
    if bias is not None:
        _replace(model, node, 2, bias * factor.reshape(bias.shape))
    return True


def _channel_axis(node: ir.Node) -> int | None:
    """Axis of the output channel in the weights; None for a `Gemm` with factors of its own."""
    attributes = node.attributes
    if node.op_type != "Gemm":
        return _WEIGHTED[node.op_type]
    if any(name in attributes and attributes[name].as_float() != 1.0 for name in ("alpha", "beta")):
        return None
    return 0 if "transB" in attributes and attributes["transB"].as_int() else 1


def _owned(value: ir.Value, node: ir.Node) -> np.ndarray | None:
    """The data of a constant that `node` alone reads."""
    tensor = ir.convenience.get_const_tensor(value)
    return tensor.numpy() if tensor is not None and list(value.consumers()) == [node] else None


def _replace(model: ir.Model, node: ir.Node, place: int, array: np.ndarray) -> None:
    old = node.inputs[place]
    assert old is not None
    name = f"{old.name}_scaled"
    tensor = ir.tensor(array.astype(np.float32), name=name)
    fresh = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    model.graph.register_initializer(fresh)
    node.replace_input_with(place, fresh)
    if old.name is not None and old.name in model.graph.initializers and not list(old.consumers()):
        del model.graph.initializers[old.name]
