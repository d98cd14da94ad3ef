"""What one kernel of a network takes, from onnxruntime's own recording.

A recording is a list of Chrome trace events (docs of onnxruntime, performance/tune-performance/profiling-tools); those of
category `Node` carry the operator, the shapes that went in and out, and bytes. Kernels are of the optimised graph: fused, and
laid out as the machine likes it. One multiply-add counts as 2 FLOPs, as in `export.graph.cost`; channels that onnxruntime adds
to fill a vector are counted, for the machine computes them.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from isthmus.errors import DeviceError

_SUFFIX = "_kernel_time"
_WEIGHT = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "NhwcFusedConv": 1, "QLinearConv": 3}
"""Index of the weights among the inputs of kernels that convolve."""
_PRODUCTS = frozenset(
    {"MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulInteger", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm"}
)


class Kernel(BaseModel):
    """One kernel in the order in which it runs.

    Attributes:
        name: of the node in the optimised graph.
        operator: its type there.
        provider: execution provider.
        seconds: of a run, the median where nothing else was asked for.
        flops: counted from the shapes that went through; 0 for element-wise ones.
        moved_bytes: inputs, weights and outputs together, each once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    operator: str
    provider: str
    seconds: float = Field(ge=0)
    flops: int = Field(ge=0)
    moved_bytes: int = Field(ge=0)


def read_recording(text: str, *, skip: int = 0, typical: Callable[[Iterable[float]], float] = median) -> tuple[Kernel, ...]:
    """Read a recording of several runs.

    Args:
        text: what onnxruntime wrote.
        skip: the first so many runs were to warm up and do not count.
        typical: of the runs that count.

    Returns:
        Kernels in the order of their first run.

    Raises:
        DeviceError: it is no such recording, or holds no run that counts.
    """
    try:
        events = [event for event in json.loads(text) if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX)]
        runs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for event in events:
            runs.setdefault((event["args"].get("node_index", ""), event["name"]), []).append(event)
        kernels = tuple(_kernel(name, found[skip:], typical) for (_, name), found in runs.items() if len(found) > skip)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError(f"onnxruntime's recording cannot be read: {type(error).__name__} {error}") from error
    if not kernels:
        raise DeviceError(f"onnxruntime's recording holds no kernel in more than {skip} runs; run the network again")
    return kernels


def _kernel(name: str, events: Sequence[Mapping[str, Any]], typical: Callable[[Iterable[float]], float]) -> Kernel:
    arguments = events[0]["args"]
    moved = sum(int(arguments.get(part, 0)) for part in ("activation_size", "parameter_size", "output_size"))
    return Kernel(
        name=name.removesuffix(_SUFFIX),
        operator=arguments["op_name"],
        provider=arguments.get("provider", ""),
        seconds=typical(float(event["dur"]) for event in events) / 1e6,
        flops=_flops(arguments["op_name"], _shapes(arguments, "input_type_shape"), _shapes(arguments, "output_type_shape")),
        moved_bytes=moved,
    )


def _shapes(arguments: Mapping[str, Any], field: str) -> list[list[int]]:
    """Of every tensor; each is written as `{"float": [1, 3, 224, 224]}`."""
    return [next(iter(one.values()), []) for one in arguments.get(field, [])]


def _flops(operator: str, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> int:
    if not outputs or not inputs:
        return 0
    weight = _WEIGHT.get(operator)
    if weight is not None and len(inputs) > weight:
        return 2 * prod(outputs[0]) * prod(inputs[weight][1:])
    if operator in _PRODUCTS and inputs[0]:
        return 2 * prod(outputs[0]) * inputs[0][-1]
    return 0
