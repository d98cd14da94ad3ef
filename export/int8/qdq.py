"""Turn a float head into an int8 one: quantise and dequantise pairs around convolutions and matrix products.

Weights are int8 with one scale for each output channel, biases int32, activations on one grid a tensor (`export.int8.ranges`); a
runtime fuses each pattern into one integer kernel. A pair stands

* at the input of every convolution and matrix product with constant weights, and behind every such convolution, where a
  `Relu` or `Clip` that follows comes first, for the kernel does both;
* behind whatever moves or pools values between two of these, on the grid of its input.

**The wire's quantiser is the last pair.** The encoder gives code units, so that the codes of the boundary are a grid of scale
1 with the code 0 for 0: the pair takes the place of the `Round`, and where the last layer is a convolution its own
quantiser is the wire's. Nothing is quantised twice. Fewer than 8 bits add the `Clip` that was there before.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import onnxruntime

from isthmus.contract.boundary import Boundary, CodeTensor
from isthmus.errors import ExportError
from isthmus.export.graph import shapes, weights
from isthmus.export.graph.flow import is_standard, name_of
from isthmus.export.int8 import ranges
from isthmus.export.int8.ranges import Grid, Kind, Spread

PER_CHANNEL_OPSET = 13
"""First opset in which a grid may differ by channel."""
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_ABSORBED = frozenset({"Relu", "Clip"})
_MOVING = frozenset({"Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "QGemm", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A head, ready to be quantised.

    Attributes:
        model: the float head with its constants folded.
        points: names of the tensors that get a pair.
        spreads: what these hold, by name.
    """

    model: ir.Model
    points: tuple[str, ...]
    spreads: dict[str, Spread]


def is_quantised(head: ir.Model) -> bool:
    """Whether the network came in with 8-bit layers of its own."""
    return any(node.op_type.startswith(_QUANTISED) for node in head.graph)


def plan(head: ir.Model, inputs: Iterable[np.ndarray]) -> Plan:
    """Choose what to quantise, and look at it.

    Args:
        head: picture -> codes, all in float32.
        inputs: prepared pictures, one by one.

    Raises:
        ExportError: nothing in the head can be quantised.
    """
    if head.opset_imports[""] < PER_CHANNEL_OPSET:
        raise ExportError(f"opset {head.opset_imports['']} has no grids by channel, {PER_CHANNEL_OPSET} has")
    model = simplified(head)
    points = _points(model)
    if not points:
        raise ExportError("the head has no float32 convolution or matrix product with constant weights")
    return Plan(model=model, points=tuple(map(name_of, points)), spreads=ranges.spreads(model, points, inputs))


def simplified(model: ir.Model) -> ir.Model:
    """Batch norms, scales and constants folded, by onnxruntime's basic optimisations: all operators stay standard ones."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="isthmus-int8-") as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        weights.save(model, before)
        options.optimized_model_filepath = str(after)
        try:
            onnxruntime.InferenceSession(str(before), options, providers=["CPUExecutionProvider"])
        except Exception as reason:
            raise ExportError(f"onnxruntime does not load the head: {str(reason).splitlines()[0]}") from reason
        found = ir.external_data.load_to_model(ir.load(after))
    # onnxruntime lists every domain that it knows, the default one under both of its names.
    for domain in set(found.opset_imports) - {node.domain for node in found.graph} - {""}:
        del found.opset_imports[domain]
    shapes.infer(found)
    return found


def applied(prepared: Plan, boundary: Boundary | None, kind: Kind) -> ir.Model:
    """The int8 head of a boundary, on activations of one kind; without a boundary a whole network, its outputs in floats."""
    model = prepared.model.clone()
    values = ir.convenience.create_value_mapping(model.graph)
    grids: dict[str, Grid] = {}
    for name in prepared.points:
        source = _moved_from(values[name], prepared.points)
        grids[name] = grids[source] if source is not None else ranges.fitted(prepared.spreads[name], kind)
    for node in [node for node in model.graph if _is_weighted(node)]:
        _quantise_weights(model, node, grids[name_of(_given(node))].scale, with_bias=kind == "uint8")
    for name, grid in grids.items():
        _insert_pair(model, values[name], grid)
    codes = {} if boundary is None else {tensor.name: tensor for tensor in boundary.tensors}
    for output in list(model.graph.outputs) if codes else ():
        tensor = codes[name_of(output)]
        # Codes of 0..255 fit no grid of int8 with the zero point 0; their `Round` stays.
        if kind == "uint8" or tensor.highest <= np.iinfo(np.int8).max:
            _fuse_wire(model, output, tensor, kind)
    passes.RemoveUnusedNodesPass()(model)
    return model


def _points(model: ir.Model) -> list[ir.Value]:
    """Tensors that get a pair, in the order of the graph: inputs first."""
    wanted: set[ir.Value] = set()
    for node in model.graph:
        if _is_weighted(node):
            wanted.add(_given(node))
            end = _end(node)
            if node.op_type == "Conv" and not _is_wire(end):
                wanted.add(end)
    order = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    return [value for value in order if value in wanted]


def _is_weighted(node: ir.Node) -> bool:
    if node.op_type not in _WEIGHTED or not is_standard(node) or node.inputs[0] is None or node.inputs[1] is None:
        return False
    weights = ir.convenience.get_const_tensor(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if weights is None or weights.dtype != ir.DataType.FLOAT or (bias is not None and _constant(bias) is None):
        return False
    if node.op_type == "MatMul":
        return len(weights.shape) == 2
    plain = all(name not in node.attributes or node.attributes[name].as_float() == 1.0 for name in ("alpha", "beta"))
    transposed = "transA" in node.attributes and node.attributes["transA"].as_int() == 1
    return plain and not transposed and (bias is None or bias.shape is None or len(bias.shape) == 1)


def _given(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _end(node: ir.Node) -> ir.Value:
    """What a layer gives, behind the activation that its kernel takes along."""
    value = node.outputs[0]
    readers = list(value.consumers())
    if len(readers) == 1 and readers[0].op_type in _ABSORBED and not value.is_graph_output():
        return readers[0].outputs[0]
    return value


def _is_wire(value: ir.Value) -> bool:
    """Whether nothing but the quantiser of the wire reads a value, perhaps in another order."""
    readers = list(value.consumers())
    if len(readers) != 1 or value.is_graph_output():
        return False
    return readers[0].op_type == "Round" or (readers[0].op_type in _MOVING and _is_wire(readers[0].outputs[0]))


def _moved_from(value: ir.Value, points: tuple[str, ...]) -> str | None:
    """The point whose values these are, only in another order or fewer of them."""
    node = value.producer()
    while node is not None and node.op_type in _MOVING and node.inputs[0] is not None:
        if name_of(node.inputs[0]) in points:
            return name_of(node.inputs[0])
        node = node.inputs[0].producer()
    return None


def _quantise_weights(model: ir.Model, node: ir.Node, input_scale: float, *, with_bias: bool) -> None:
    """Give a layer int8 weights and, for the kind that wants it, a bias of 32 bits; TensorRT takes biases in floats only."""
    weights = _constant(node.inputs[1])
    assert weights is not None
    axis = _channel_axis(node)
    rest = tuple(place for place in range(weights.ndim) if place != axis)
    scale = np.maximum(np.abs(weights).max(axis=rest) / 127, 1e-10)
    bias = _constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    if bias is not None and with_bias:
        # A channel of next to no weights must not push its bias out of 32 bits.
        scale = np.maximum(scale, np.abs(bias) / (input_scale * 2.0**30))
    column = scale.reshape([-1 if place == axis else 1 for place in range(weights.ndim)])
    codes = np.clip(np.round(weights / column), -127, 127).astype(np.int8)
    _dequantised(model, node, 1, codes, scale.astype(np.float32), axis)
    if bias is not None and with_bias:
        steps = scale * input_scale
        _dequantised(model, node, 2, np.round(bias / steps).astype(np.int32), steps.astype(np.float32), 0)


def _channel_axis(node: ir.Node) -> int:
    if node.op_type == "Conv":
        return 0
    transposed = "transB" in node.attributes and node.attributes["transB"].as_int() == 1
    return 0 if transposed else 1


def _dequantised(model: ir.Model, node: ir.Node, place: int, codes: np.ndarray, scale: np.ndarray, axis: int) -> None:
    """Give a node codes and their scales in place of a float constant."""
    name = f"{node.name or node.outputs[0].name}_{'weights' if place == 1 else 'bias'}"
    inputs = [_initializer(model, f"{name}_codes", codes), _initializer(model, f"{name}_scale", scale)]
    inputs.append(_initializer(model, f"{name}_zero", np.zeros(scale.shape, dtype=codes.dtype)))
    restored = ir.node("DequantizeLinear", inputs, attributes={"axis": axis}, name=f"{name}_dequantize")
    restored.outputs[0].name = f"{name}_dequantized"
    model.graph.insert_before(node, restored)
    old = node.inputs[place]
    node.replace_input_with(place, restored.outputs[0])
    if old is not None and old.name is not None and old.name in model.graph.initializers and not list(old.consumers()):
        del model.graph.initializers[old.name]


def _insert_pair(model: ir.Model, value: ir.Value, grid: Grid) -> None:
    """Let everybody read a value through its grid."""
    readers = list(value.uses())
    quantised, restored = _pair(model, value, grid, name_of(value))
    producer = value.producer()
    if producer is None:
        model.graph.insert_before(model.graph[0], [quantised, restored])
    else:
        model.graph.insert_after(producer, [quantised, restored])
    for node, place in readers:
        node.replace_input_with(place, restored.outputs[0])


def _pair(model: ir.Model, value: ir.Value, grid: Grid, name: str) -> tuple[ir.Node, ir.Node]:
    scale = _initializer(model, f"{name}_scale", np.float32(grid.scale))
    zero = _initializer(model, f"{name}_zero", np.array(grid.zero_point, dtype=grid.kind))
    quantised = ir.node("QuantizeLinear", [value, scale, zero], name=f"{name}_quantize")
    quantised.outputs[0].name = f"{name}_quantized"
    quantised.outputs[0].shape = value.shape
    quantised.outputs[0].type = ir.TensorType(ir.DataType.from_numpy(np.dtype(grid.kind)))
    restored = ir.node("DequantizeLinear", [quantised.outputs[0], scale, zero], name=f"{name}_dequantize")
    restored.outputs[0].name = f"{name}_dequantized"
    restored.outputs[0].shape, restored.outputs[0].type = value.shape, value.type
    return quantised, restored


def _fuse_wire(model: ir.Model, output: ir.Value, tensor: CodeTensor, kind: Kind) -> None:
    """Put the pair of scale 1 where the code units of a boundary tensor come into being, and take its `Round` away."""
    rounding = output.producer()
    while rounding is not None and rounding.op_type != "Round":
        rounding = rounding.inputs[0].producer() if rounding.inputs[0] is not None else None
    units = None if rounding is None else rounding.inputs[0]
    if rounding is None or units is None:
        raise ExportError(f"the codes {tensor.name} are not rounded by the head")
    rounding.outputs[0].replace_all_uses_with(units)
    model.graph.remove(rounding, safe=True)
    grid = _wire_grid(tensor, kind)
    _insert_pair(model, _before_moving(units), grid)


def _wire_grid(tensor: CodeTensor, kind: Kind) -> Grid:
    if kind == "uint8":
        return Grid(scale=1.0, zero_point=128 if tensor.signed else 0, kind=kind)
    return Grid(scale=1.0, zero_point=0, kind=kind)


def _before_moving(value: ir.Value) -> ir.Value:
    """Where the numbers of a value were computed, if it alone goes on from there."""
    node = value.producer()
    while node is not None and node.op_type in _MOVING and node.inputs[0] is not None:
        if len(list(node.inputs[0].consumers())) != 1:
            break
        value = node.inputs[0]
        node = value.producer()
    return value


def _initializer(model: ir.Model, name: str, array: np.ndarray | np.generic) -> ir.Value:
    tensor = ir.tensor(np.asarray(array), name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(np.shape(array)), const_value=tensor)
    model.graph.register_initializer(value)
    return value


def _constant(value: ir.Value | None) -> np.ndarray | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    array: np.ndarray | None = None if tensor is None else tensor.numpy()
    return array
