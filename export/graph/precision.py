"""Half precision as float32, for where gradients run through a network: they would underflow, and CPUs are slow at it."""

import numpy as np
import onnx_ir as ir

from isthmus.export.graph.flow import HALVES


def in_single(model: ir.Model) -> ir.Model:
    """A copy that computes in float32 what `model` computes in half precision; `model` itself where it computes nothing so.

    Args:
        model: without control flow.
    """
    values = [*model.graph.inputs, *model.graph.initializers.values(), *(value for node in model.graph for value in node.outputs)]
    if not any(value.dtype in HALVES for value in values):
        return model
    widened = model.clone()
    for value in (*widened.graph.inputs, *widened.graph.initializers.values()):
        _widen(value)
    for node in widened.graph:
        for value in node.outputs:
            _widen(value)
        _widen_attributes(node)
    return widened


def _widen(value: ir.Value) -> None:
    if value.dtype not in HALVES:
        return
    if value.const_value is not None:
        value.const_value = _widened(value.const_value)
    value.type = ir.TensorType(ir.DataType.FLOAT)  # a new one: a clone shares its types with the original


def _widened(tensor: ir.TensorProtocol) -> ir.Tensor[np.ndarray]:
    return ir.Tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _widen_attributes(node: ir.Node) -> None:
    """The types that an operator is told to give: `to` of Cast, `dtype` of others, `value` of ConstantOfShape."""
    for name in ("to", "dtype"):
        told = node.attributes.get(name)
        if told is not None and ir.DataType(told.as_int()) in HALVES:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
    for name, told in list(node.attributes.items()):
        if told.type == ir.AttributeType.TENSOR and told.as_tensor().dtype in HALVES:
            node.attributes[name] = ir.AttrTensor(name, _widened(told.as_tensor()))
