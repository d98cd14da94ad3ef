"""What the ONNX parser of TensorRT takes: operators, and the restrictions that show in a graph.

`tensorrt.toml` names the operators, their source and its edition. Older releases take fewer: TensorRT 8.5, for example, has no
`LayerNormalization`, no `GroupNormalization` and no opset above 17.
"""

import tomllib
from collections.abc import Callable
from importlib import resources

import onnx_ir as ir

_TABLE = tomllib.loads((resources.files("isthmus.export.targets") / "tensorrt.toml").read_text(encoding="utf-8"))
EDITION: str = _TABLE["edition"]
LEAST_OPSET, NEWEST_OPSET = _TABLE["opsets"]
SUPPORTED: frozenset[str] = frozenset(_TABLE["operators"])
"""Operators of the standard domain."""

_TOP_MAX = 3840
_COORDINATES = frozenset({"half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"})
_NEAREST = frozenset({"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"})
_REDUCTIONS = frozenset(name for name in SUPPORTED if name.startswith("Reduce"))


def restriction(node: ir.Node) -> str | None:
    """What the matrix has against a node of a supported operator; None where it is fine."""
    if node.op_type in _REDUCTIONS:
        return _needs_constant(node, 1, "axes")
    found = _RESTRICTIONS.get(node.op_type)
    return None if found is None else found(node)


def _needs_constant(node: ir.Node, index: int, name: str) -> str | None:
    given = node.inputs[index] if index < len(node.inputs) else None
    return None if given is None or ir.convenience.get_const_tensor(given) is not None else f"{name} must be a constant"


def _word(node: ir.Node, name: str, default: str) -> str:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def _integer(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _pooling(node: ir.Node) -> str | None:
    dilations = node.attributes.get("dilations")
    if dilations is not None and set(dilations.as_ints()) - {1}:
        return "dilations must be 1"
    given = node.inputs[0]
    if given is not None and given.shape is not None and len(given.shape) not in {4, 5}:
        return f"pools in 2 or 3 dimensions only, this one in {len(given.shape) - 2}"
    return "its output of indices is not supported" if len(node.outputs) > 1 and node.outputs[1].uses() else None


def _resize(node: ir.Node) -> str | None:
    checks = (
        ("mode", "nearest", frozenset({"nearest", "linear"})),
        ("coordinate_transformation_mode", "half_pixel", _COORDINATES),
        ("keep_aspect_ratio_policy", "stretch", frozenset({"stretch"})),
    )
    for name, default, allowed in checks:
        if _word(node, name, default) not in allowed:
            return f"{name} must be one of {', '.join(sorted(allowed))}, not {_word(node, name, default)}"
    nearest = _word(node, "nearest_mode", "round_prefer_floor")
    if _word(node, "mode", "nearest") == "nearest" and nearest not in _NEAREST:
        return f"nearest_mode must be one of {', '.join(sorted(_NEAREST))}, not {nearest}"
    return "antialias is not supported" if _integer(node, "antialias", 0) else None


def _top(node: ir.Node) -> str | None:
    given = node.inputs[1] if len(node.inputs) > 1 else None
    count = None if given is None else ir.convenience.get_const_tensor(given)
    if count is not None and int(count.numpy().max(initial=0)) >= _TOP_MAX:
        return f"takes fewer than {_TOP_MAX} elements, not {int(count.numpy().max())}"
    return None if _integer(node, "sorted", 1) else "sorted must be 1"


def _scatter(node: ir.Node) -> str | None:
    reduction = _word(node, "reduction", "none")
    return None if reduction == "none" else f"reduction must be none, not {reduction}"


def _first_output_only(node: ir.Node) -> str | None:
    return "has its first output only" if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]) else None


def _recurrent(node: ir.Node) -> str | None:
    for name in ("layout", "input_forget"):
        if _integer(node, name, 0):
            return f"{name} must be 0"
    return None


def _four_dimensions(node: ir.Node) -> str | None:
    ranks = [len(value.shape) for value in node.inputs[:3] if value is not None and value.shape is not None]
    return None if set(ranks) <= {4} else "queries, keys and values must have 4 dimensions"


_RESTRICTIONS: dict[str, Callable[[ir.Node], str | None]] = {
    "Attention": _four_dimensions,
    "AveragePool": _pooling,
    "CumSum": lambda node: _needs_constant(node, 1, "axis"),
    "LayerNormalization": _first_output_only,
    "LpPool": _pooling,
    "LSTM": _recurrent,
    "MaxPool": _pooling,
    "OneHot": lambda node: _needs_constant(node, 1, "depth"),
    "Resize": _resize,
    "ScatterND": _scatter,
    "Squeeze": lambda node: _needs_constant(node, 1, "axes"),
    "TopK": _top,
    "Unsqueeze": lambda node: _needs_constant(node, 1, "axes"),
}
