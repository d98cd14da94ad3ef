"""Which tensors of the tail a recipe matches.

Generalised head network distillation compares the ends of a ResNet's layers (Matsubara and Levorato 2020). Any network has
such places: a resolution ends where the last narrow tensor of that size is, before the next convolution or pooling with a stride
makes a smaller one. Where a pyramid keeps earlier tensors for later, as in detectors, the tensor that was computed last counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

import onnx_ir as ir

from isthmus.errors import ExportError, UsageError
from isthmus.export.cutting import cuts
from isthmus.export.cutting.cuts import Cut
from isthmus.export.graph.flow import FLOAT_TYPES, dimensions, name_of
from isthmus.export.training.recipe import CUT, LEVELS, Matched

WIDER_MAX = 2
"""Times the fewest values of a resolution that its end may have: an expansion inside a block is wider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A tensor of the tail, and how much it counts."""

    name: str
    weight: float


def targets(tail: ir.Model, matched: Sequence[Matched]) -> tuple[Target, ...]:
    """Resolve the selectors of a stage.

    Args:
        tail: takes one tensor, the one at the cut.
        matched: see `recipe.Matched`; a tensor that two selectors name counts with the weight of the first.

    Raises:
        UsageError: a selector names no tensor of the tail that can be matched.
    """
    found: dict[str, float] = {}
    for one in matched:
        for name in _names(tail, one.at):
            found.setdefault(name, one.weight)
    return tuple(Target(name=name, weight=weight) for name, weight in found.items())


def _names(tail: ir.Model, selector: str) -> Sequence[str]:
    given = name_of(tail.graph.inputs[0])
    if selector == CUT:
        return [given]
    if selector == LEVELS:
        return levels(tail)
    try:
        return cuts.find(_cuts(tail), selector, model=tail).tensors
    except UsageError as error:
        raise UsageError(f"features at {selector!r} of the recipe: {error}") from error


def levels(tail: ir.Model) -> list[str]:
    """The last narrow map of every resolution in the tail, from large to small; none of a single pixel.

    Args:
        tail: takes one map [batch, channel, row, column].
    """
    values = {name_of(value): value for node in tail.graph for value in node.outputs}
    before = _grid(tail.graph.inputs[0])
    ends: list[str] = []
    maps = [(grid, cut) for cut in _cuts(tail) if (grid := _grid(values.get(cut.tensors[-1]))) is not None]
    for grid, group in groupby(maps, key=lambda pair: pair[0]):
        # A network that goes up again, as pyramids do, has ended its resolutions.
        if before is not None and prod(grid) > prod(before):
            break
        before = grid
        end = _end([cut for _, cut in group], values) if prod(grid) > 1 else None
        if end is not None:
            ends.append(end)
    return ends


def _end(level: list[Cut], values: dict[str, ir.Value]) -> str | None:
    """Of the cuts of one resolution with the fewest tensors, the last that is narrow."""
    fewest = min(len(cut.tensors) for cut in level)
    newest = [cut.tensors[-1] for cut in level if len(cut.tensors) == fewest]
    floats = [name for name in newest if values[name].dtype in FLOAT_TYPES]
    narrowest = min((_channels(values[name]) for name in floats), default=0)
    narrow = [name for name in floats if _channels(values[name]) <= WIDER_MAX * narrowest]
    return narrow[-1] if narrow else None


def _cuts(tail: ir.Model) -> list[Cut]:
    try:
        return cuts.enumerate(tail)
    except ExportError:  # a tail of one node has nothing inside
        return []


def _grid(value: ir.Value | None) -> tuple[int, int] | None:
    """Rows and columns of a map; None for anything else."""
    sizes = None if value is None else dimensions(value)
    return (sizes[2], sizes[3]) if sizes is not None and len(sizes) == 4 else None


def _channels(value: ir.Value) -> int:
    sizes = dimensions(value)
    return sizes[1] if sizes is not None else 0
