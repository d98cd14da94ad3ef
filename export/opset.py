"""Bring a model to another ONNX opset with the converter of the onnx package, repairing what that leaves behind."""

import logging
from collections.abc import Iterable

import onnx
import onnx_ir as ir

from isthmus.export.graph import subgraphs

OPSET = 17
"""Opset of vision bundles: the highest that the TensorRT and onnxruntime releases still shipped for small boards read, and the
first with `LayerNormalization`."""

NEWEST_LOWERED = 18
"""A model of this opset, which is what torch writes, is brought down to `OPSET`; newer ones stay as they are."""

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
    try:
        proto = onnx.version_converter.convert_version(ir.to_proto(model), version)
        _drop_unknown_attributes(proto.graph.node, version)
        onnx.checker.check_model(proto)
        return ir.from_proto(proto)
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
