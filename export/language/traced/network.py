"""A slice of a model as an ONNX file, with the ports that `contract.language` names."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from isthmus.contract.language import KeyValues
from isthmus.devices.decoder import decoder as ports
from isthmus.errors import ExportError
from isthmus.export.doors.tracing import quiet, reason_of
from isthmus.export.language.network import DATA, INLINE_BYTES, OPSET
from isthmus.export.language.traced.slices import Slice

ROWS, PAST, KEPT = 5, 7, 3
"""Of the example that is traced: unlike each other and more than one, for torch takes equal sizes for one and the same, and 0 and
1 for fixed."""
KEPT_ROWS = "kept_rows"
"""The input that is traced in the place of `logits_to_keep`: numbers of rows instead of how many of the last."""


def trace(part: Slice, shapes: list[KeyValues], *, width: int, path: Path) -> int:
    """Write a slice; the number of its weights.

    Args:
        part: of the model.
        shapes: of the caches of its layers, one entry a layer.
        width: of a hidden state.
        path: of the ONNX file; weights go beside it.

    Raises:
        ExportError: torch cannot trace it, or the disk is full.
    """
    free = torch.export.Dim.DYNAMIC
    entry = torch.zeros((1, ROWS), dtype=torch.long) if part.stretch.embeds else torch.randn((1, ROWS, width))
    names, tensors, dims = [], [], []
    if part.stretch.predicts:
        names, tensors, dims = [KEPT_ROWS], [torch.arange(KEPT)], [{0: free}]
    for index, shape in enumerate(shapes):
        names += ports.past_names(index)
        tensors += [torch.randn((1, shape.heads, PAST, shape.width)) for _ in range(2)]
        dims += [{2: free}, {2: free}]
    given = ports.LOGITS if part.stretch.predicts else ports.HIDDEN_OUT
    presents = [name for index in range(len(shapes)) for name in ports.present_names(index)]
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                part,
                (entry, *tensors),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({1: free}, tuple(dims)),
                input_names=[ports.IDS if part.stretch.embeds else ports.HIDDEN, *names],
                output_names=[given, *presents],
                verbose=False,
            )
            assert program is not None
    except Exception as reason:  # torch.export raises whatever the traced code and its passes raise
        raise ExportError(reason_of(reason)) from reason
    if part.stretch.predicts:
        _keep_last(program.model.graph)
    return _save(program.model, path)


def _keep_last(graph: ir.Graph) -> None:
    """Have `logits_to_keep` in the place of the numbers of the rows that get logits."""
    entry, [numbers] = graph.inputs[0], [value for value in graph.inputs if value.name == KEPT_ROWS]
    keep = ir.Value(name=ports.KEEP, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([]))
    one = ir.node("Constant", [], attributes={"value": ir.tensor(np.array(1), name="one")})
    nothing = ir.node("Constant", [], attributes={"value": ir.tensor(np.zeros(0, np.int64), name="nothing")})
    counted = ir.node("Shape", [entry], attributes={"start": 1, "end": 2})
    rows = ir.node("Reshape", [counted.outputs[0], nothing.outputs[0]])
    first = ir.node("Sub", [rows.outputs[0], keep])
    last = ir.node("Range", [first.outputs[0], rows.outputs[0], one.outputs[0]])
    ir.convenience.replace_all_uses_with(numbers, last.outputs[0])
    graph.insert_before(graph[0], [one, nothing, counted, rows, first, last])
    graph.inputs[list(graph.inputs).index(numbers)] = keep


def _save(model: ir.Model, path: Path) -> int:
    model.producer_name, model.producer_version = "isthmus", None
    ClearMetadataAndDocStringPass()(model)
    try:
        ir.save(model, path, external_data=path.name + DATA, size_threshold_bytes=INLINE_BYTES)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}; set TMPDIR to a folder with more room") from error
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return sum(one.size for one in tensors if one is not None and one.dtype == ir.DataType.FLOAT)
