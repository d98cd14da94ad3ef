"""The filter's network: two small convolutions on the codes, the largest and the mean answer of each, one score.

GHND's filter pools to 64x64, convolves thrice, pools to 8x8 and ends in a layer for each place (88 thousand weights, 67 million
multiply-adds). Codes of a bottleneck are smaller and say more, so it is cut down here to some 10 us; and because the last pooling
is over the whole picture, it need not see an event at every place to know it there.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import nn
from torch.nn import functional

from isthmus.contract.boundary import Boundary, CodeTensor
from isthmus.contract.filter import SCORE
from isthmus.export.graph import shapes

WIDTH = 16
"""Channels of its layers."""
SIDE_MAX = 28
"""Wider codes are averaged down first."""
CHANNELS_MAX = 24
"""More channels are mixed down to `WIDTH` first."""
OPSET = 17


class Branch(nn.Module):
    """What looks at one boundary tensor."""

    def __init__(self, tensor: CodeTensor) -> None:
        super().__init__()
        self.tensor = tensor
        self.shape = picture_shape(tensor.shape)
        channels, *sides = self.shape
        self.shrink = -(-max(sides) // SIDE_MAX)
        self.mix = nn.Conv2d(channels, WIDTH, 1) if channels > CHANNELS_MAX else None
        self.first = nn.Conv2d(channels if self.mix is None else WIDTH, WIDTH, 3, stride=2, padding=1)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.scale = 1.0 / max(abs(tensor.lowest), abs(tensor.highest))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """float32[batch, 2 x WIDTH] of codes [batch, *shape]."""
        values = codes.float().reshape(len(codes), *self.shape) * self.scale
        if self.shrink > 1:
            kernel = tuple(min(self.shrink, side) for side in self.shape[1:])
            values = functional.avg_pool2d(values, kernel, stride=kernel, ceil_mode=False)
        if self.mix is not None:
            values = self.mix(values)
        values = functional.relu(self.second(functional.relu(self.first(values))))
        return torch.cat([values.amax(dim=(2, 3)), values.mean(dim=(2, 3))], dim=1)


class FilterModule(nn.Module):
    """The whole network.

    Args:
        boundary: whose codes it takes.
    """

    def __init__(self, boundary: Boundary) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(tensor) for tensor in boundary.tensors)
        self.last = nn.Linear(2 * WIDTH * len(boundary.tensors), 1)

    def forward(self, codes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scores float32[batch] of codes [batch, *shape], one for each boundary tensor."""
        features = [branch(tensor) for branch, tensor in zip(self.branches, codes, strict=True)]
        scores: torch.Tensor = self.last(torch.cat(features, dim=1))
        return scores[:, 0]


def picture_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channel, row and column of codes of any number of axes.

    >>> picture_shape((8,)), picture_shape((8, 5)), picture_shape((8, 5, 6)), picture_shape((8, 5, 6, 7))
    ((8, 1, 1), (8, 1, 5), (8, 5, 6), (8, 5, 42))
    """
    channels, *rest = shape
    return (channels, rest[0] if len(rest) > 1 else 1, prod(rest[1:]) if len(rest) > 1 else prod(rest))


def to_onnx(module: FilterModule) -> ir.Model:
    """The same network as ONNX: inputs named as the boundary's tensors, [batch, *shape] of integers; output `score`."""
    nodes: list[str] = []
    weights: dict[str, np.ndarray] = {}
    inputs: list[str] = []
    features: list[str] = []
    for index, branch in enumerate(module.branches):
        assert isinstance(branch, Branch)
        tensor = branch.tensor
        inputs.append(f"{'int8' if tensor.signed else 'uint8'}[batch, {', '.join(map(str, tensor.shape))}] codes_{index}")
        nodes += _branch(branch, f"b{index}", f"codes_{index}", weights)
        features += [f"b{index}_max", f"b{index}_mean"]
    joined = ", ".join(features)
    weights |= {"last_weight": _array(module.last.weight), "last_bias": _array(module.last.bias), "last_axis": np.array([1])}
    nodes += [
        f"features = Concat <axis = 1> ({joined})",
        "flat = Flatten <axis = 1> (features)",
        "scores = Gemm <transB = 1> (flat, last_weight, last_bias)",
        f"{SCORE} = Squeeze (scores, last_axis)",
    ]
    body = "\n".join(nodes)
    head = f'<ir_version: 8, opset_import: ["" : {OPSET}]> filter ({", ".join(inputs)}) => (float[batch] {SCORE})'
    proto = onnx.parser.parse_model(f"{head} {{\n{body}\n}}")
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.checker.check_model(proto, full_check=True)
    model = ir.from_proto(proto)
    # Names of boundary tensors may hold what the parser does not take.
    for index, branch in enumerate(module.branches):
        assert isinstance(branch, Branch)
        model.graph.inputs[index].name = branch.tensor.name
    shapes.infer(model)
    return model


def _branch(branch: Branch, name: str, source: str, weights: dict[str, np.ndarray]) -> list[str]:
    """Nodes of one branch, `{name}_max` and `{name}_mean` at its end; its weights are added to `weights`."""
    # A scale on the codes is the same as one on the weights that they meet first; averaging changes nothing about that.
    scaled = branch.first if branch.mix is None else branch.mix
    nodes = [f"{name}_float = Cast <to = 1> ({source})"]
    value = f"{name}_float"

    def then(operator: str, *arguments: str, attributes: str = "") -> None:
        nonlocal value
        nodes.append(f"{name}_{len(nodes)} = {operator} {attributes} ({', '.join((value, *arguments))})")
        value = f"{name}_{len(nodes) - 1}"

    if branch.shape != branch.tensor.shape:
        weights[f"{name}_shape"] = np.array([-1, *branch.shape])
        then("Reshape", f"{name}_shape")
    if branch.shrink > 1:
        kernel = [min(branch.shrink, side) for side in branch.shape[1:]]
        then("AveragePool", attributes=f"<kernel_shape = {kernel}, strides = {kernel}>")
    for step, layer in (("mix", branch.mix), ("first", branch.first), ("second", branch.second)):
        if layer is None:
            continue
        weights[f"{name}_{step}_weight"] = _array(layer.weight) * np.float32(branch.scale if layer is scaled else 1)
        weights[f"{name}_{step}_bias"] = _array(layer.bias)
        shape = "" if step == "mix" else "<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>"
        then("Conv", f"{name}_{step}_weight", f"{name}_{step}_bias", attributes=shape)
        if step != "mix":
            then("Relu")
    return [*nodes, f"{name}_max = GlobalMaxPool ({value})", f"{name}_mean = GlobalAveragePool ({value})"]


def _array(parameter: torch.Tensor | None) -> np.ndarray:
    assert parameter is not None
    array: np.ndarray = parameter.detach().numpy().astype(np.float32)
    return array
