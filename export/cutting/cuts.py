"""Where a model can be cut.

Walk the nodes that depend on an input and reach an output, in topological order. After each of them the set of computed
values that something later still reads is a cut: the head computes everything up to there, the tail the rest. Inputs of
the model that the tail still reads do not count as computed; they are named separately, for they would have to cross as
they are. Values inside the bodies of `If`, `Loop` and `Scan` are never cut.

A selector names one cut, tried in this order:

    NAME    a tensor: the first cut that consists of it alone, else the cut after the node that computes it
    A,B     several tensors: the first cut that consists of just these
    NAME    a node: the cut after it
    K, #K   the number that `isthmus cuts` prints; `#K` where a tensor is called K as well
    N%      the best single tensor at or before N percent of the FLOPs
    auto    the best single tensor between 25% and 50% of the FLOPs that has rank 3 or more, as maps
            `[batch, channel, row, column]` and tokens `[batch, token, feature]` do; if there is none, the best of them before
            50%; if there is none either, the best single tensor of any rank with FLOPs on both sides

Of single tensors only those are looked at that can be sent as codes: floats, and 8-bit codes with a known scale in a network
that is quantised already; with the batch as first dimension. The *best* has the fewest values, since a bottleneck gives every
value the same bits whatever the model stores; of equals it is the one with the fewest FLOPs before it; where no arithmetic lies
between them, codes before floats, for they cross without loss, and then the last, behind the activation.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from isthmus.errors import ExportError, UsageError
from isthmus.export.cutting.coded import is_coded
from isthmus.export.cutting.refusal import why_no_cut
from isthmus.export.graph import cost
from isthmus.export.graph.flow import (
    BATCH,
    FLOAT_TYPES,
    Flow,
    analyse,
    data_inputs,
    dimensions,
    is_tensor,
    name_of,
    size_bytes,
)

AUTO_SHARE = (0.25, 0.5)
"""Part of the FLOPs within which `auto` looks: a head below a quarter has seldom shrunk the picture, one above a half saves
the device little. A plain rule; measured costs take its place where a device and a link are known, see `costed`."""

LEAST_RANK = 3
"""Maps have rank 4 and token sequences 3; in a vector the place in the picture is lost already, and with it nearly all the FLOPs
are spent."""


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
        values: how many numbers cross at batch 1, crossing inputs included; None if unknown.
        codes: which of `tensors` hold 8-bit codes of known scale, see `export.cutting.coded`.
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
    values: int | None
    flops_before: int
    flops_share: float
    parameters_before: int
    inputs_crossing: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @property
    def is_single(self) -> bool:
        """True when exactly one tensor crosses and nothing else."""
        return len(self.tensors) == 1 and not self.inputs_crossing

    @property
    def is_float(self) -> bool:
        """True when every tensor that crosses is floating point."""
        return all(ir.DataType[name] in FLOAT_TYPES for name in self.dtypes)

    @property
    def can_be_codes(self) -> bool:
        """True when every tensor that crosses is floating point or holds 8-bit codes already, one row for each of the batch."""
        floats = (ir.DataType[name] in FLOAT_TYPES for name in self.dtypes)
        ready = all(is_float or name in self.codes for is_float, name in zip(floats, self.tensors, strict=True))
        return ready and all(map(_starts_with_batch, self.shapes))


def _starts_with_batch(shape: tuple[int | str, ...]) -> bool:
    """True for `[batch, ...]`, and for `[1, ...]` where no other dimension grows with the batch."""
    return shape[:1] == (BATCH,) or (shape[:1] == (1,) and all(isinstance(size, int) for size in shape))


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
                bytes=_total(map(size_bytes, (*alive, *crossing))),
                values=_total(map(_count, (*alive, *crossing))),
                codes=tuple(name_of(value) for value in alive if is_coded(value)),
                flops_before=flops,
                flops_share=flops / total if total else 0.0,
                parameters_before=parameters,
                inputs_crossing=tuple(map(name_of, crossing)),
            )


def _shape(value: ir.Value) -> tuple[int | str, ...]:
    return tuple(size if isinstance(size, int) else size.value or "?" for size in value.shape or ())


def _count(value: ir.Value) -> int | None:
    sizes = dimensions(value)
    return None if sizes is None else prod(sizes)


def _total(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def find(cuts: Sequence[Cut], selector: str, *, model: ir.Model | None = None, floats_only: bool = False) -> Cut:
    """Return the cut that a selector names; the module says what selectors there are.

    Args:
        cuts: of one model, as `enumerate` gives them.
        selector: see the module.
        model: the model itself, so that the message can say why a name that it has is no cut.
        floats_only: let `auto` and `N%` pass over tensors of 8-bit codes, for bottlenecks that take none.

    Raises:
        UsageError: nothing matches; the message says why, and names the nearest names or the range.
    """
    text = selector.strip()
    candidates = codable(cuts, floats_only=floats_only)
    if text == "auto":
        return _automatic(candidates)
    if share := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text):
        return _within_share(candidates, float(share[1]) / 100)
    named = _by_name(cuts, text)
    if named is not None:
        return named
    if number := re.fullmatch(r"#?(\d+)", text):
        return _by_index(cuts, int(number[1]))
    reason = why_no_cut(model.graph, text) if model is not None else None
    raise UsageError(reason or f"no tensor or node {text!r} to cut at; {_nearest(cuts, text)}")


def codable(cuts: Sequence[Cut], *, floats_only: bool = False) -> list[Cut]:
    """Single tensors of known size that can be sent as codes; `floats_only` leaves out those that are codes already."""
    found = [cut for cut in cuts if cut.is_single and cut.values is not None and cut.can_be_codes]
    return [cut for cut in found if cut.is_float or not floats_only]


def _by_name(cuts: Sequence[Cut], name: str) -> Cut | None:
    if not name:
        return None
    tests: tuple[Callable[[Cut], bool], ...] = (
        lambda cut: cut.is_single and cut.tensors == (name,),
        lambda cut: cut.tensors == (name,),
        lambda cut: len(cut.tensors) > 1 and set(cut.tensors) == {part.strip() for part in name.split(",")},
        lambda cut: name in cut.tensors,
        lambda cut: cut.node == name,
    )
    return next((cut for test in tests for cut in cuts if test(cut)), None)


def _by_index(cuts: Sequence[Cut], index: int) -> Cut:
    for cut in cuts:
        if cut.index == index:
            return cut
    raise UsageError(f"no cut number {index}; numbers run from {cuts[0].index} to {cuts[-1].index}")


def _within_share(candidates: Sequence[Cut], share: float) -> Cut:
    if not 0 < share <= 1:
        raise UsageError(f"a cut at {share:.0%} of the FLOPs does not exist; give a share above 0% and up to 100%")
    before = [cut for cut in candidates if cut.flops_share <= share]
    if not before:
        earliest = min((cut.flops_share for cut in candidates), default=None)
        where = "there is none at all" if earliest is None else f"the first lies at {earliest:.1%}"
        raise UsageError(f"no single tensor that can become codes crosses at or before {share:.1%} of the FLOPs; {where}")
    return min(before, key=_best_first)


def _automatic(candidates: Sequence[Cut]) -> Cut:
    maps = [cut for cut in candidates if len(cut.shapes[0]) >= LEAST_RANK]
    first, last = AUTO_SHARE
    rounds = (
        [cut for cut in maps if first <= cut.flops_share <= last],
        [cut for cut in maps if 0 < cut.flops_share <= last],
        [cut for cut in candidates if 0 < cut.flops_share < 1],
    )
    for found in rounds:
        if found:
            return min(found, key=_best_first)
    raise UsageError(
        "no cut of a single tensor of floats or 8-bit codes, of known size, with FLOPs on both sides for 'auto'; name one, "
        "see `isthmus cuts`"
    )


def _best_first(cut: Cut) -> tuple[int, int, bool, int]:
    """Order of preference among single tensors of known size."""
    return (cut.values or 0, cut.flops_before, not cut.codes, -cut.index)


def _nearest(cuts: Sequence[Cut], name: str) -> str:
    known = list(dict.fromkeys(word for cut in cuts for word in (*cut.tensors, cut.node) if word))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + ", ".join(map(repr, close)) + "?"
    return f"names run from {known[0]!r} to {known[-1]!r}, see `isthmus cuts`" if known else "the cuts have no names"
