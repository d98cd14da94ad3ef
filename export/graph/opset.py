"""Bring a model to another ONNX opset with the converter of the onnx package, repairing what that leaves behind."""

import logging
from collections.abc import Callable, Iterable

import onnx
import onnx_ir as ir

from isthmus.export.graph import weights
from isthmus.export.graph.flow import is_standard, name_of, subgraphs

OPSET = 17
"""Opset of vision bundles: the highest that the TensorRT and onnxruntime releases still shipped for small boards read, and the
first with `LayerNormalization`."""

NEWEST_LOWERED = 21
"""Models up to this are brought down to `OPSET` where the converter manages; torch writes 18. Newer ones stay as they are."""

RESIZE_MODES_OPSET = 11
"""First opset in which `Resize` says how it maps coordinates. Before, it was always what is now called asymmetric, by floor."""

SHELTER = "isthmus.unchanged"
"""Domain in which nodes pass the converter untouched that mean the same in both opsets, but for which it has no adapter."""

LEAST_IR_VERSION = 8
"""What goes with opset 15 and newer. Below 4 a file has to list its initialisers among the inputs."""

_log = logging.getLogger(__name__)


def converted(model: ir.Model, version: int) -> ir.Model | None:
    """Return a copy of `model` at opset `version` of the default domain, or None when the converter gives up.

    The result is well formed, not proven equal: run both before trusting it. A model with control flow is left alone,
    because the converter does not look into bodies and a run proves only the branch it takes.
    """
    if any(True for node in model.graph for _ in subgraphs(node)):
        return None
    bare, kept = weights.set_aside(model)
    before = model.opset_imports[""]
    if before > version:
        _shelter(bare)
    try:
        proto = onnx.version_converter.convert_version(ir.to_proto(bare), version)
        _bring_back(proto)
        _drop_unknown_attributes(proto.graph.node, version)
        if before < RESIZE_MODES_OPSET <= version:
            _keep_old_resize(proto.graph.node)
        onnx.checker.check_model(proto)
        return weights.put_back(ir.from_proto(proto), kept)
    except Exception as reason:  # The C++ converter raises bare RuntimeErrors and protobuf its own kinds
        _log.debug("no conversion from opset %s to %s: %s", model.opset_imports.get(""), version, reason)
        return None


def _drop_unknown_attributes(nodes: Iterable[onnx.NodeProto], version: int) -> None:
    """Remove attributes a lower opset does not have, as `noop_with_empty_axes`; the converter forgets to."""
    for node in nodes:
        if node.domain not in {"", "ai.onnx"} or not onnx.defs.has(node.op_type):
            continue
        known = onnx.defs.get_schema(node.op_type, max_inclusive_version=version).attributes
        kept = [attribute for attribute in node.attribute if attribute.name in known]
        if len(kept) != len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(kept)


def _keep_old_resize(nodes: Iterable[onnx.NodeProto]) -> None:
    """Write out how `Resize` and `Upsample` of an old opset map coordinates; the converter lets the new default slip in."""
    for node in nodes:
        if node.op_type == "Resize" and not any(one.name == "coordinate_transformation_mode" for one in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
            node.attribute.append(onnx.helper.make_attribute("nearest_mode", "floor"))


def _shelter(model: ir.Model) -> None:
    """Keep from the converter, in place, what it has no adapter for although it means the same since opset 16 or before."""
    for node in model.graph:
        if is_standard(node) and node.op_type in _UNCHANGED and _UNCHANGED[node.op_type](node):
            node.domain = SHELTER
            model.opset_imports[SHELTER] = 1


def _has_sizes(node: ir.Node) -> bool:
    return len(node.inputs) > 1 or _write_split_sizes(node)


def _pads_all_axes(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    return len(node.inputs) < 4 and (mode is None or mode.as_string() != "wrap")


def _has_old_mode(node: ir.Node) -> bool:
    """Give a `GridSample` the older name of its mode; True where there is one."""
    mode = node.attributes.get("mode")
    older = {"linear": "bilinear", "cubic": "bicubic"}.get(name := mode.as_string() if mode else "linear", name)
    node.attributes["mode"] = ir.AttrString("mode", older)
    return older in {"bilinear", "bicubic", "nearest"}


def _write_split_sizes(node: ir.Node) -> bool:
    """Replace the number of parts by their sizes, all equal and the last one what is left; False where these are unknown."""
    count, axis = node.attributes.get("num_outputs"), node.attributes.get("axis")
    source = node.inputs[0]
    size = None if source is None or source.shape is None else source.shape[axis.as_int() if axis else 0]
    if count is None or not isinstance(size, int) or node.graph is None:
        return False
    part = -(-size // count.as_int())
    constant = ir.node("Constant", [], attributes={"value_ints": [min(part, size - start) for start in range(0, size, part)]})
    constant.outputs[0].name = f"{name_of(node.outputs[0])}_sizes"
    node.graph.insert_before(node, constant)
    node.resize_inputs(2)
    node.replace_input_with(1, constant.outputs[0])
    node.attributes.pop("num_outputs")
    return True


_UNCHANGED: dict[str, Callable[[ir.Node], bool]] = {
    "ConstantOfShape": lambda _node: True,
    "GridSample": _has_old_mode,
    "Pad": _pads_all_axes,
    "Split": _has_sizes,
}
"""Operators without an adapter, and whether (or after what change) a node of theirs means the same in both opsets."""


def _bring_back(proto: onnx.ModelProto) -> None:
    """Return what was sheltered to the default domain."""
    for node in proto.graph.node:
        node.domain = "" if node.domain == SHELTER else node.domain
    for index in [index for index, opset in enumerate(proto.opset_import) if opset.domain == SHELTER]:
        del proto.opset_import[index]
