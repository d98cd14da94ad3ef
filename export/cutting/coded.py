"""8-bit tensors of a network that was quantised before it came here: codes whose scale the graph knows.

Such a tensor can cross as it is, without a second quantiser and without loss. Its scale is a constant of the operator that makes
the codes: `QuantizeLinear`, or one of the `QLinear` kernels of the standard and of onnxruntime. A scale that is measured on the
data (`DynamicQuantizeLinear`) is not known before the frame, so its tensor does not count.
"""

import onnx_ir as ir

CODE_TYPES = frozenset({ir.DataType.INT8, ir.DataType.UINT8})

MOVING = frozenset(
    {
        "DepthToSpace",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "NhwcMaxPool",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that move or choose codes of their first input and leave the scale as it is."""


def is_coded(value: ir.Value) -> bool:
    """True for an 8-bit integer tensor made with a scale that is a constant of the graph."""
    if value.dtype not in CODE_TYPES:
        return False
    node = value.producer()
    while node is not None and node.op_type in MOVING and node.inputs and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None:
        return False
    if node.op_type == "QuantizeLinear":
        return all(map(_is_constant, node.inputs[1:]))
    if not node.op_type.startswith(("QLinear", "QGemm")):
        return False
    return all(_is_constant(given) for given in node.inputs if given is not None and given.dtype == ir.DataType.FLOAT)


def _is_constant(value: ir.Value | None) -> bool:
    return value is None or value.is_initializer()
