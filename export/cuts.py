"""Where a model can be cut.

Walk the nodes that depend on an input and reach an output, in topological order. After each of them the set of computed
values that something later still reads is a cut: the head computes everything up to there, the tail the rest. Inputs of
the model that the tail still reads do not count as computed; they are named separately, for they would have to cross as
they are. Values inside the bodies of `If`, `Loop` and `Scan` are never cut.

A selector names one cut, tried in this order:

    NAME    a tensor: the first cut that consists of it alone, else the cut after the node that computes it
    NAME    a node: the cut after it
    K, #K   the number that `isthmus cuts` prints; `#K` where a tensor is called K as well
    N%      the single-tensor cut of fewest bytes at or before N percent of the FLOPs
    auto    the single floating-point tensor `[batch, channel, row, column]` of fewest bytes between 25% and 50% of the
            FLOPs, the earliest of equals; if there is none, before 50%; if there is none either, any single
            float tensor with FLOPs on both sides
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from isthmus.errors import ExportError, UsageError
from isthmus.export import cost
from isthmus.export.graph import (
    FLOAT_TYPES,
    Flow,
    analyse,
    data_inputs,
    is_tensor,
    name_of,
    size_bytes,
)

AUTO_SHARE = (0.25, 0.5)
"""Part of the FLOPs within which `auto` looks: a head below a quarter has seldom shrunk the picture, one above a half saves
the device little. A plain rule; the measured cost tables replace it where a device is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One place to cut.

    Attributes:
        index: position of the last head node among the nodes on the way from input to output; stable for one model.
        tensors: names of the computed values that cross, in the order in which they are computed.
        operator: type of the last head node.
        node: name of the last head node.
        shapes: per tensor its dimensions, the free ones by name, `?` where they have none.
        dtypes: per tensor its ONNX type name, as in `FLOAT`.
        bytes: size of what crosses at batch 1 as the model stores it, unquantised, crossing inputs included; None if unknown.
        flops_before: FLOPs of the head at batch 1.
        flops_share: the same as part of the whole, 0..1; 0 for a model without counted arithmetic.
        parameters_before: weights that the head needs.
        inputs_crossing: inputs of the model that the tail reads as well.
    """

    index: int
    tensors: tuple[str, ...]
    operator: str
    node: str
    shapes: tuple[tuple[int | str, ...], ...]
    dtypes: tuple[str, ...]
    bytes: int | None
    flops_before: int
    flops_share: float
    parameters_before: int
    inputs_crossing: tuple[str, ...] = ()

    @property
    def is_single(self) -> bool:
        """True when exactly one tensor crosses and nothing else."""
        return len(self.tensors) == 1 and not self.inputs_crossing

    @property
    def is_float(self) -> bool:
        """True when every tensor that crosses is floating point."""
        return all(ir.DataType[name] in FLOAT_TYPES for name in self.dtypes)


def enumerate(model: ir.Model) -> list[Cut]:  # read as `cuts.enumerate`
    """List every cut of a model in topological order.

    Places where something other than a dense tensor of known type and rank would cross (a sequence, an optional, strings)
    are left out, and so is the place after the last node.

    Raises:
        ExportError: the model has no place to cut.
    """
    flow = analyse(model.graph)
    cuts = list(_walk(model.graph, flow))
    if not cuts:
        raise ExportError(
            f"the model has no place to cut: {len(flow.order)} nodes lie between its inputs and outputs, "
            "and at least two with a tensor between them are needed"
        )
    return cuts


def _walk(graph: ir.Graph, flow: Flow) -> Iterable[Cut]:
    total = sum(map(cost.node_flops, flow.order))
    flops = parameters = 0
    counted: set[ir.Value] = set()
    alive: list[ir.Value] = []
    for position, node in zip(range(len(flow.order) - 1), flow.order, strict=False):
        flops += cost.node_flops(node)
        parameters += sum(map(cost.parameter_count, cost.weights_of(node, seen=counted)))
        alive = [value for value in (*alive, *node.outputs) if flow.alive_after(position, value)]
        crossing = [value for value in data_inputs(graph) if flow.alive_after(position, value)]
        if alive and all(map(is_tensor, alive)):
            yield Cut(
                index=position,
                tensors=tuple(map(name_of, alive)),
                operator=node.op_type,
                node=node.name or "",
                shapes=tuple(map(_shape, alive)),
                dtypes=tuple(value.dtype.name for value in alive if value.dtype is not None),
                bytes=_total_bytes((*alive, *crossing)),
                flops_before=flops,
                flops_share=flops / total if total else 0.0,
                parameters_before=parameters,
                inputs_crossing=tuple(map(name_of, crossing)),
            )


def _shape(value: ir.Value) -> tuple[int | str, ...]:
    return tuple(size if isinstance(size, int) else size.value or "?" for size in value.shape or ())


def _total_bytes(values: Iterable[ir.Value]) -> int | None:
    total = 0
    for value in values:
        size = size_bytes(value)
        if size is None:
            return None
        total += size
    return total


def find(cuts: Sequence[Cut], selector: str) -> Cut:
    """Return the cut that a selector names; the module says what selectors there are.

    Raises:
        UsageError: nothing matches; the message names the nearest names, or the range.
    """
    text = selector.strip()
    if text == "auto":
        return _automatic(cuts)
    if share := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text):
        return _within_share(cuts, float(share[1]) / 100)
    named = _by_name(cuts, text)
    if named is not None:
        return named
    if number := re.fullmatch(r"#?(\d+)", text):
        return _by_index(cuts, int(number[1]))
    raise UsageError(f"no tensor or node {text!r} to cut at; {_nearest(cuts, text)}")


def _by_name(cuts: Sequence[Cut], name: str) -> Cut | None:
    if not name:
        return None
    tests: tuple[Callable[[Cut], bool], ...] = (
        lambda cut: cut.is_single and cut.tensors == (name,),
        lambda cut: cut.tensors == (name,),
        lambda cut: name in cut.tensors,
        lambda cut: cut.node == name,
    )
    return next((cut for test in tests for cut in cuts if test(cut)), None)


def _by_index(cuts: Sequence[Cut], index: int) -> Cut:
    for cut in cuts:
        if cut.index == index:
            return cut
    raise UsageError(f"no cut number {index}; numbers run from {cuts[0].index} to {cuts[-1].index}")


def _within_share(cuts: Sequence[Cut], share: float) -> Cut:
    if not 0 < share <= 1:
        raise UsageError(f"a cut at {share:.0%} of the FLOPs does not exist; give a share above 0% and up to 100%")
    candidates = [cut for cut in cuts if cut.is_single and cut.bytes is not None and cut.flops_share <= share]
    if not candidates:
        earliest = min((cut.flops_share for cut in cuts if cut.is_single), default=None)
        where = "there is none at all" if earliest is None else f"the first lies at {earliest:.1%}"
        raise UsageError(f"no single tensor crosses at or before {share:.1%} of the FLOPs; {where}")
    return min(candidates, key=_bytes_then_index)


def _automatic(cuts: Sequence[Cut]) -> Cut:
    single = [cut for cut in cuts if cut.is_single and cut.is_float and cut.bytes is not None]
    maps = [cut for cut in single if len(cut.shapes[0]) == 4]
    first, last = AUTO_SHARE
    rounds = (
        [cut for cut in maps if first <= cut.flops_share <= last],
        [cut for cut in maps if 0 < cut.flops_share <= last],
        [cut for cut in single if 0 < cut.flops_share < 1],
    )
    for candidates in rounds:
        if candidates:
            return min(candidates, key=_bytes_then_index)
    raise UsageError(
        "no cut of a single float tensor of known size with FLOPs on both sides for 'auto'; name one, see `isthmus cuts`"
    )


def _bytes_then_index(cut: Cut) -> tuple[int, int]:
    return (0 if cut.bytes is None else cut.bytes, cut.index)


def _nearest(cuts: Sequence[Cut], name: str) -> str:
    known = list(dict.fromkeys(word for cut in cuts for word in (*cut.tensors, cut.node) if word))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + ", ".join(map(repr, close)) + "?"
    return f"names run from {known[0]!r} to {known[-1]!r}, see `isthmus cuts`" if known else "the cuts have no names"
