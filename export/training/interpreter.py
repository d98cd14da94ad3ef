"""Run an ONNX graph in torch, with gradients.

The tail of a split model is frozen ONNX, and the bottleneck before it is trained through it: this module is how the
gradient gets back. It runs the graph node by node with a table of small functions (`isthmus.export.training.operators`), in
inference semantics: dropout passes through, batch normalisation uses its stored statistics.
"""

import re
from collections.abc import Container, Sequence

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from isthmus.errors import ExportError
from isthmus.export.graph.flow import data_inputs, is_standard, name_of, needed, subgraphs
from isthmus.export.training.operators import TABLE, Call, Operator


class OnnxModule(torch.nn.Module):
    """A torch module that computes what an ONNX model computes.

    Float initialisers are parameters or buffers, so that the module moves with `.to(device)`; integer
    ones are kept on the CPU, where shape arithmetic happens, until data meets them. Names in `state_dict` are the
    ONNX names with everything but letters, digits and underscores replaced; `weights` gives the original ones.

    Args:
        model: without control flow; functions inlined, as after a door.
        trainable: names of float initialisers that are parameters, so that gradients reach them; all others are buffers.

    Raises:
        ExportError: the model uses operators that are not in the table; all of them are listed.
    """

    def __init__(self, model: ir.Model, *, trainable: Container[str] = ()) -> None:
        super().__init__()
        graph, opset = model.graph, model.opset_imports.get("", 0)
        nodes = needed(graph)
        _refuse_unknown(nodes)
        self.input_names: tuple[str, ...] = tuple(map(name_of, data_inputs(graph)))
        self.output_names: tuple[str, ...] = tuple(map(name_of, graph.outputs))
        self._steps = [_Step(node, opset) for node in nodes]
        self._plans: dict[tuple[str, ...], list[tuple[_Step, list[str]]]] = {}
        self._attributes: dict[str, str] = {}
        self._constants: dict[str, Tensor] = {}
        # In the order of reading: that of the initialisers differs from process to process, and an optimiser's state goes by it.
        read = dict.fromkeys((*(name for step in self._steps for name in step.arguments if name), *self.output_names))
        for name in read:
            if name in graph.initializers:
                self._hold(name, graph.initializers[name], trainable=name in trainable)

    def _hold(self, name: str, value: ir.Value, *, trainable: bool) -> None:
        if value.const_value is None:
            raise ExportError(f"initialiser {name!r} has no data; load the model together with its external file")
        tensor = torch.from_numpy(np.array(value.const_value.numpy()))
        if not tensor.is_floating_point():
            self._constants[name] = tensor
            return
        attribute = _attribute_name(name, set(self._attributes.values()))
        self._attributes[name] = attribute
        if trainable:
            self.register_parameter(attribute, torch.nn.Parameter(tensor))
        else:
            self.register_buffer(attribute, tensor)

    def weights(self) -> dict[str, np.ndarray]:
        """Current values of the float initialisers by their ONNX names, copied."""
        return {name: getattr(self, attribute).detach().cpu().numpy().copy() for name, attribute in self._attributes.items()}

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the outputs.

        Args:
            inputs: in the order of `input_names`.

        Returns:
            The output, or a tuple in the order of `output_names` when there are several.

        Raises:
            ExportError: the number of inputs is wrong, or an operator is used in a way that is not covered.
        """
        results = self.compute(self.output_names, *inputs)
        return results[0] if len(results) == 1 else results

    def compute(self, wanted: Sequence[str], *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute any values of the graph, and nothing that they do not need.

        Args:
            wanted: names of inputs, outputs or values between them that an output depends on.
            inputs: in the order of `input_names`.

        Returns:
            The values in the order of `wanted`.

        Raises:
            ExportError: as for `forward`, or the graph has no such value.
        """
        if len(inputs) != len(self.input_names):
            raise ExportError(f"{len(inputs)} inputs given, the model takes {', '.join(self.input_names)}")
        values: dict[str, Tensor] = dict(self._constants)
        values |= {name: getattr(self, attribute) for name, attribute in self._attributes.items()}
        values |= dict(zip(self.input_names, inputs, strict=True))
        for step, finished in self._plan(tuple(wanted), known=values):
            step.run(values)
            for name in finished:
                del values[name]
        return tuple(values[name] for name in wanted)

    def _plan(self, wanted: tuple[str, ...], *, known: Container[str]) -> list[tuple["_Step", list[str]]]:
        """Steps on the way to some values, each with what nothing after it reads; made once."""
        if wanted not in self._plans:
            steps, missing = _way_to(self._steps, wanted)
            unknown = [name for name in missing if name not in known]
            if unknown:
                raise ExportError(f"the model computes no {', '.join(sorted(unknown))}")
            self._plans[wanted] = list(zip(steps, _last_uses(steps, wanted), strict=True))
        return self._plans[wanted]


class _Step:
    """One node, its names and attributes read once."""

    def __init__(self, node: ir.Node, opset: int) -> None:
        self.operator: Operator = TABLE[node.op_type]
        self.call = Call.of(node, opset)
        self.label = f"{node.op_type} {node.name}"
        self.arguments: tuple[str | None, ...] = tuple(None if value is None else value.name for value in node.inputs)
        self.inputs: frozenset[str] = frozenset(name for name in self.arguments if name)
        self.outputs: tuple[str, ...] = tuple(map(name_of, node.outputs))

    def run(self, values: dict[str, Tensor]) -> None:
        arguments = [None if name is None else values[name] for name in self.arguments]
        try:
            result = self.operator(self.call, *arguments)
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as reason:
            shapes = ", ".join("-" if value is None else str(tuple(value.shape)) for value in arguments)
            raise ExportError(f"{self.label} fails in torch on inputs of shape {shapes}: {reason}") from reason
        results: Sequence[Tensor] = result if isinstance(result, tuple) else (result,)
        # Outputs at the end that inference does not have (old BatchNormalization) are left out; nothing reads them.
        values.update(zip(self.outputs, results, strict=False))


def _refuse_unknown(nodes: Sequence[ir.Node]) -> None:
    unknown = {
        node.op_type if is_standard(node) else f"{node.domain}.{node.op_type}"
        for node in nodes
        if not is_standard(node) or node.op_type not in TABLE or any(True for _ in subgraphs(node))
    }
    if unknown:
        raise ExportError(f"torch cannot run these operators of the model: {', '.join(sorted(unknown))}; cut after them")


def _way_to(steps: Sequence[_Step], wanted: Sequence[str]) -> tuple[list[_Step], set[str]]:
    """The steps that some values depend on, in order, and what none of them computes."""
    missing, kept = set(wanted), []
    for step in reversed(steps):
        if not missing.isdisjoint(step.outputs):
            missing -= set(step.outputs)
            missing |= step.inputs
            kept.append(step)
    return kept[::-1], missing


def _last_uses(steps: Sequence[_Step], outputs: Sequence[str]) -> list[list[str]]:
    """Per step the computed values that nothing after it reads."""
    last: dict[str, int] = {}
    computed: set[str] = set()
    for position, step in zip(range(len(steps)), steps, strict=True):
        computed.update(step.outputs)
        last |= dict.fromkeys(step.inputs, position)
    finished: list[list[str]] = [[] for _ in steps]
    for name, position in last.items():
        if name in computed and name not in outputs:
            finished[position].append(name)
    return finished


def _attribute_name(name: str, taken: set[str]) -> str:
    base = "weight_" + re.sub(r"\W", "_", name)
    fresh, number = base, 2
    while fresh in taken:
        fresh, number = f"{base}_{number}", number + 1
    return fresh
