"""Straight-line ONNX graphs, built step by step: what lies between a tensor at the cut and its codes."""

from typing import Self

import numpy as np
import onnx_ir as ir

from isthmus.export.graph import shapes

Dimensions = tuple[int | str, ...]
"""Sizes of a tensor; the batch by its name."""


class Chain:
    """One value that passes one operator after the other.

    Args:
        name: of the input; nodes and constants are named after it.
        data_type: of the input.
        dimensions: of the input.
    """

    def __init__(self, name: str, data_type: ir.DataType, dimensions: Dimensions) -> None:
        self._name = name
        self._source = ir.Value(name=name, type=ir.TensorType(data_type), shape=ir.Shape(dimensions))
        self._value = self._source
        self._nodes: list[ir.Node] = []
        self._constants: list[ir.Value] = []

    def then(self, operator: str, *constants: np.ndarray | np.generic, **attributes: int | list[int]) -> Self:
        """Apply a standard operator to the value; `constants` are its further inputs."""
        inputs = [self._value, *map(self._constant, constants)]
        place = f"{self._name}_{len(self._nodes)}_{operator.lower()}"
        node = ir.node(operator, inputs, attributes=attributes or None, name=place)
        self._value = node.outputs[0]
        self._value.name = f"{place}_value"
        self._nodes.append(node)
        return self

    def cast(self, data_type: ir.DataType) -> Self:
        """Change the type of the value."""
        return self.then("Cast", to=int(data_type))

    def model(self, target: str, data_type: ir.DataType, dimensions: Dimensions, *, opset: int) -> ir.Model:
        """End here: the value becomes the output `target`, of the given type and dimensions."""
        if not self._nodes:
            self.then("Identity")
        self._value.name, self._value.type, self._value.shape = target, ir.TensorType(data_type), ir.Shape(dimensions)
        graph = ir.Graph(
            [self._source],
            [self._value],
            nodes=self._nodes,
            initializers=self._constants,
            opset_imports={"": opset},
            name="bottleneck",
        )
        model = ir.Model(graph, ir_version=8, producer_name="isthmus")
        shapes.infer(model)
        return model

    def _constant(self, array: np.ndarray | np.generic) -> ir.Value:
        name = f"{self._name}_constant_{len(self._constants)}"
        tensor = ir.tensor(np.asarray(array), name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(np.shape(array)), const_value=tensor)
        self._constants.append(value)
        return value
