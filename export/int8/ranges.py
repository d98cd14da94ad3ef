"""Scales and zero points of activations: which 8-bit grid loses least of what passes on calibration pictures.

Two kinds of grid: `uint8`, whose zero point is 0 where nothing is negative, and `int8` with the zero point 0 always, which is
all that TensorRT takes and costs half of the codes behind a `Relu`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from isthmus.errors import ExportError
from isthmus.export.graph.flow import name_of
from isthmus.export.graph.session import Session

Kind = Literal["uint8", "int8"]

KINDS: tuple[Kind, ...] = ("uint8", "int8")
SYMMETRIC: tuple[Kind, ...] = ("int8",)
"""What has the zero point 0 everywhere."""
KEPT_EACH = 1024
"""Values kept of each tensor of each picture for the search; the extremes are those of all values."""
_CLIP_RATIOS = np.linspace(0.6, 1.0, 17)
"""Tried parts of the range; 8 bits have room for most tails, so less is clipped than with few bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """value = (code - zero_point) x scale.

    Attributes:
        scale: of one step.
        zero_point: the code of the value 0.
        kind: how a code is stored.
    """

    scale: float
    zero_point: int
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spread:
    """What one tensor holds: its extremes, and a sample of its values as float32[n]."""

    low: float
    high: float
    values: np.ndarray


def spreads(model: ir.Model, tensors: Sequence[ir.Value], inputs: Iterable[np.ndarray]) -> dict[str, Spread]:
    """Run a model on prepared pictures, one at a time, and look at some of its float tensors.

    Raises:
        ExportError: onnxruntime does not give one of them, or it holds values that are not finite.
    """
    names = [name_of(value) for value in tensors]
    probe = model.clone()
    values = ir.convenience.create_value_mapping(probe.graph)
    present = {name_of(value) for value in (*probe.graph.outputs, *probe.graph.inputs)}
    probe.graph.outputs.extend(values[name] for name in names if name not in present)
    session = Session(probe)
    random = np.random.default_rng(0)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    lows, highs = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for picture in inputs:
        feeds = {session.inputs[0]: picture}
        answer = feeds | session.run(feeds)
        for name in names:
            flat = answer[name].reshape(-1)
            # numpy's minimum passes NaN on, Python's drops it.
            lows[name], highs[name] = np.minimum(lows[name], flat.min()), np.maximum(highs[name], flat.max())
            parts[name].append(flat[random.integers(0, len(flat), min(KEPT_EACH, len(flat)))].astype(np.float32))
    for name in names:
        if not np.isfinite([lows[name], highs[name]]).all():
            raise ExportError(f"tensor {name} of the head has values that are not finite")
    return {name: Spread(low=float(lows[name]), high=float(highs[name]), values=np.concatenate(parts[name])) for name in names}


def fitted(spread: Spread, kind: Kind) -> Grid:
    """The grid of least squared error, among those that cover a part of the range and hold 0 exactly."""
    found = [_grid(spread.low * ratio, spread.high * ratio, kind) for ratio in _CLIP_RATIOS]
    return min(reversed(found), key=lambda grid: _error(grid, spread.values))


def _grid(low: float, high: float, kind: Kind) -> Grid:
    if kind == "int8":
        return Grid(scale=max(-low, high, 1e-8) / 127, zero_point=0, kind=kind)
    scale = max(high - low, 1e-8) / 255
    return Grid(scale=scale, zero_point=round(-low / scale), kind=kind)


def _error(grid: Grid, values: np.ndarray) -> float:
    low, high = (-128, 127) if grid.kind == "int8" else (0, 255)
    codes = np.clip(np.round(values / grid.scale) + grid.zero_point, low, high) - grid.zero_point
    return float(np.square(codes * grid.scale - values).mean())
