"""Fold a constant factor per channel into the convolution or matrix product before it.

A positive factor passes a `Relu`, since relu(x) s = relu(x s). A `Clip` from 0 to m before unsigned codes is left out where the
clip of the codes is the tighter one: relu6 and a calibrated scale. What the head computes stays the same but for the order of two
float operations; the device saves one pass over the tensor, and the last layer of the head gives code units, which is
where an int8 head takes the quantiser of the wire for that of its last layer.
"""

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from isthmus.export.graph.flow import is_standard

_WEIGHTED = {"Conv": 0, "Gemm": 1}
"""Operators -> axis of the output channel in their weights, for `Gemm` without transposition."""


def fold_scales(model: ir.Model) -> bool:
    """Fold, in place, every `Mul` that the head of this module speaks of; True if there was one."""
    found = [node for node in model.graph if node.op_type == "Mul" and is_standard(node)]
    folded = [node for node in found if _fold(model, node)]
    passes.RemoveUnusedNodesPass()(model)
    return bool(folded)


def _fold(model: ir.Model, product: ir.Node) -> bool:
    value, scale = product.inputs
    factor = _factor(scale)
    if value is None or factor is None:
        return False
    producer = _only_read_by(value, product)
    if producer is not None and producer.inputs[0] is not None and (factor > 0).all():
        before = producer.inputs[0]
        if producer.op_type == "Relu":
            producer = _only_read_by(before, producer)
        elif producer.op_type == "Clip" and _is_looser(producer, factor, product):
            # The value that is scaled is then the one before the clip.
            value, producer = before, _only_read_by(before, producer)
    output = product.outputs[0]
    if producer is None or producer.op_type not in _WEIGHTED or output.is_graph_output():
        return False
    if not _scale_weights(model, producer, factor):
        return False
    value.shape, value.type = output.shape, output.type
    output.replace_all_uses_with(value)
    model.graph.remove(product, safe=True)
    return True


def _is_looser(clip: ir.Node, factor: np.ndarray, product: ir.Node) -> bool:
    """Whether the rounding and clipping of unsigned codes behind `product` makes a clip before it needless."""
    rounding = _only_reader(product)
    codes = None if rounding is None or rounding.op_type != "Round" else _only_reader(rounding)
    if codes is None or codes.op_type != "Clip":
        return False
    bounds = [_scalar(node, place) for node in (clip, codes) for place in (1, 2)]
    if None in bounds:
        return False
    low, high, lowest, highest = (bound for bound in bounds if bound is not None)
    # What is clipped to `high` rounds to the largest code, and so does all above it.
    return low == lowest == 0.0 and bool((high * factor > highest - 0.5).all())


def _only_reader(node: ir.Node) -> ir.Node | None:
    readers = list(node.outputs[0].consumers())
    return readers[0] if len(readers) == 1 and not node.outputs[0].is_graph_output() else None


def _scalar(node: ir.Node, place: int) -> float | None:
    value = node.inputs[place] if place < len(node.inputs) else None
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else float(tensor.numpy().reshape(-1)[0])


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
