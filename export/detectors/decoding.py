"""From what a detector's network gives to boxes, as ONNX: one piece of graph for each family.

Every piece computes, for N places at which a box may lie, in pixels of the prepared input:

    corners      float[batch, N, 4]   x1 y1 x2 y2
    confidences  float[batch, N]      score of the likeliest class, 0 to 1
    kinds        int64[batch, N]      index of that class

and `poison` float[batch], zero, or NaN where the network gave NaN or infinity: such an answer must not pass for "nothing seen".

The pieces use operators whose form is the same from opset 13 on (so no `ReduceMax`), all of them on TensorRT's list.

Formulas: YOLOX, arXiv 2107.08430 and `yolox/models/yolo_head.py`; YOLOv5 and YOLOv8 decode in their own export, cxcywh in pixels;
FastestDet, `utils/tool.py` of its repository; DETR, arXiv 2005.12872, and RT-DETR, arXiv 2304.08069, cxcywh in shares of the
input.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

LARGEST_LOGARITHM = 12.0
"""e^12 strides are far beyond any picture; without a bound a wild value becomes an infinite box."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Part of a graph: nodes in the text form of ONNX, and the constants that they name."""

    nodes: str
    constants: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Cells over the picture at several strides, finest first, row by row; `anchors` boxes in each cell, anchor by anchor.

    Attributes:
        width: of the prepared input in pixels.
        height: of the prepared input in pixels.
        strides: pixels between cells.
        anchors: boxes for each cell.
    """

    width: int
    height: int
    strides: tuple[int, ...]
    anchors: int = 1

    def __len__(self) -> int:
        return self.anchors * sum(prod(self._cells(stride)) for stride in self.strides)

    def _cells(self, stride: int) -> tuple[int, int]:
        return self.height // stride, self.width // stride

    def corners(self) -> np.ndarray:
        """float32[N, 2]: column and row of every cell."""
        return np.concatenate([np.tile(_columns_and_rows(*self._cells(stride)), (self.anchors, 1)) for stride in self.strides])

    def steps(self) -> np.ndarray:
        """float32[N, 1]: stride of every cell, in pixels."""
        counts = [self.anchors * prod(self._cells(stride)) for stride in self.strides]
        return np.repeat(np.array(self.strides, dtype=np.float32), counts)[:, None]


def _columns_and_rows(down: int, across: int) -> np.ndarray:
    rows, columns = np.mgrid[:down, :across]
    return np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)


def centred(raw: str, classes: int, *, objectness: bool, channels_first: bool) -> Piece:
    """YOLOv5 [batch, N, 5 + class] and YOLOv8 [batch, 4 + class, N]: cx cy w h in pixels, then chances.

    Args:
        raw: name of the network's output.
        classes: number of classes.
        objectness: a chance that there is anything at all stands before those of the classes; the score is the product.
        channels_first: N is the last axis.
    """
    turned = f"rows = Transpose <perm = [0, 2, 1]> ({raw}_float)" if channels_first else f"rows = Identity ({raw}_float)"
    return _joined(
        _floats(raw),
        Piece(nodes=turned, constants={}),
        _divided(classes, objectness=objectness),
        Piece(nodes="centre = Identity (place)\nsize = Identity (extent)", constants={}),
        _product() if objectness else Piece(nodes="chances = Identity (given)", constants={}),
        _likeliest(),
        _corners(),
    )


def yolox(raw: str, classes: int, grid: Grid) -> Piece:
    """YOLOX without its last step [batch, N, 5 + class]: place in the cell, logarithm of the size in strides, chances."""
    nodes = """
        moved = Add (place, cells)
        centre = Mul (moved, steps)
        bounded = Min (extent, largest_logarithm)
        grown = Exp (bounded)
        size = Mul (grown, steps)
    """
    constants = {"cells": grid.corners()[None], "steps": grid.steps()[None], "largest_logarithm": number(LARGEST_LOGARITHM)}
    return _joined(
        _floats(raw),
        Piece(nodes=f"rows = Identity ({raw}_float)", constants={}),
        _divided(classes, objectness=True),
        Piece(nodes=nodes, constants=constants),
        _product(),
        _likeliest(),
        _corners(),
    )


def fastestdet(raw: str, classes: int, grid: Grid) -> Piece:
    """FastestDet [batch, 1 + 4 + class, row, column]: chance of anything, place and size without their squashing, chances."""
    nodes = f"""
        flat = Reshape ({raw}_float, flat_shape)
        rows = Transpose <perm = [0, 2, 1]> (flat)
        anything, place, extent, given = Split <axis = 2> (rows, parts)
        leaning = Tanh (place)
        moved = Add (leaning, cells)
        centre = Mul (moved, steps)
        part = Sigmoid (extent)
        size = Mul (part, whole)
        sure_of_any = Pow (anything, weight_of_any)
        sure_of_class = Pow (given, weight_of_class)
        chances = Mul (sure_of_any, sure_of_class)
    """
    constants = {
        "flat_shape": np.array([0, 0, -1]),
        "parts": np.array([1, 2, 2, classes]),
        "cells": grid.corners()[None],
        "steps": grid.steps()[None],
        "whole": np.array([grid.width, grid.height], dtype=np.float32),
        "weight_of_any": number(0.6),
        "weight_of_class": number(0.4),
    }
    return _joined(_floats(raw), Piece(nodes=nodes, constants=constants), _likeliest(), _corners())


def detr(logits: str, boxes: str, classes: int, *, width: int, height: int, softmax: bool) -> Piece:
    """DETR and YOLOS (softmax, the last class means nothing) or RT-DETR and Deformable DETR (sigmoid).

    A query may be of several classes where each has its own sigmoid, so there the places are pairs of query and class.
    """
    shares = f"""
        places = Mul ({boxes}_float, whole)
        centre, size = Split <axis = 2> (places, halves)
    """
    constants = {"whole": np.array([width, height] * 2, dtype=np.float32), "halves": np.array([2, 2])}
    if softmax:
        named = Piece(
            nodes=f"""
                shares = Softmax <axis = 2> ({logits}_float)
                chances, nothing = Split <axis = 2> (shares, parts)
            """,
            constants={"parts": np.array([classes, 1])},
        )
        scored = _joined(named, _likeliest(), _corners())
    else:
        scored = _joined(_corners("query_corners"), _every_class(logits, classes))
    return _joined(_floats(logits, boxes), Piece(nodes=shares, constants=constants), scored)


def _every_class(logits: str, classes: int) -> Piece:
    """Each pair of query and class is a place of its own: N = queries x classes."""
    nodes = f"""
        chances = Sigmoid ({logits}_float)
        confidences = Reshape (chances, one_row)
        any_class = Sub (chances, chances)
        numbers = Add (any_class, class_numbers)
        flat_numbers = Reshape (numbers, one_row)
        kinds = Cast <to = 7> (flat_numbers)
        standing = Unsqueeze (query_corners, axis_two)
        repeated = Expand (standing, per_class)
        corners = Reshape (repeated, rows_of_four)
    """
    constants = {
        "one_row": np.array([0, -1]),
        "class_numbers": np.arange(classes, dtype=np.float32),
        "axis_two": np.array([2]),
        "per_class": np.array([1, 1, classes, 1]),
        "rows_of_four": np.array([0, -1, 4]),
    }
    return Piece(nodes=nodes, constants=constants)


def _floats(*raws: str) -> Piece:
    """Every output as float32, and whether one holds NaN or infinity: each times zero is NaN, and so is any sum with it."""
    # Flattened, for outputs have three axes or four.
    lines = [
        f"""
            {raw}_float = Cast <to = 1> ({raw})
            {raw}_flat = Flatten <axis = 1> ({raw}_float)
            {raw}_nothing = Mul ({raw}_flat, zero)
            {raw}_poison = ReduceSum <keepdims = 0> ({raw}_nothing, second)
        """
        for raw in raws
    ]
    total = f"poison = Sum ({', '.join(f'{raw}_poison' for raw in raws)})"
    return Piece(nodes="\n".join((*lines, total)), constants={"second": np.array([1]), "zero": number(0.0)})


def number(value: float) -> np.ndarray:
    """A float32 of no axes."""
    return np.array(value, dtype=np.float32)


def _divided(classes: int, *, objectness: bool) -> Piece:
    names = "place, extent, anything, given" if objectness else "place, extent, given"
    parts = np.array([2, 2, 1, classes] if objectness else [2, 2, classes])
    return Piece(nodes=f"{names} = Split <axis = 2> (rows, parts)", constants={"parts": parts})


def _product() -> Piece:
    return Piece(nodes="chances = Mul (given, anything)", constants={})


def _likeliest() -> Piece:
    nodes = """
        best = ArgMax <axis = 2, keepdims = 1> (chances)
        best_chance = GatherElements <axis = 2> (chances, best)
        confidences = Squeeze (best_chance, last_axis)
        kinds = Squeeze (best, last_axis)
    """
    return Piece(nodes=nodes, constants={"last_axis": np.array([2])})


def _corners(name: str = "corners") -> Piece:
    nodes = f"""
        half = Mul (size, one_half)
        low = Sub (centre, half)
        high = Add (centre, half)
        {name} = Concat <axis = 2> (low, high)
    """
    return Piece(nodes=nodes, constants={"one_half": number(0.5)})


def _joined(*pieces: Piece) -> Piece:
    constants: dict[str, np.ndarray] = {}
    for piece in pieces:
        constants |= piece.constants
    return Piece(nodes="\n".join(piece.nodes for piece in pieces), constants=constants)
