"""The last step of every detector, as ONNX: from places with scores to K boxes of fixed number, sorted, filled up.

With suppression (families whose neighbours answer together): the best CANDIDATES places by score, then `NonMaxSuppression` class
by class, exactly as `batched_nms` does it, without adding offsets that cost float32 its last digits. What it keeps is scattered
into a row of zeros, so that everything behind it has a fixed size and any number of rows. Without (DETR): the best places as they
are.

One class for each place, the likeliest, is what these families' own programs take. Pairs of place and class would give their
precision and recall some tenths of a point more and show people one thing under two names.
"""

import numpy as np
import onnx
import onnx_ir as ir

from isthmus.contract.detection import BOXES, CLASSES, NO_CLASS, SCORES
from isthmus.export.detectors.decoding import Piece, number
from isthmus.export.doors import opening
from isthmus.export.graph import shapes

MOST_BOXES = 100
"""Boxes in an answer, as COCO counts them."""
CANDIDATES = 1000
"""Places that suppression looks at: with more, only boxes that would hardly enter the best hundred. TensorRT sorts up to 3840."""
SCORE_FLOOR = 0.01
"""Least score of a box in an answer, low enough to measure precision over all recalls; people are shown fewer."""

_LOWEST_OPSET = 13
"""From here on the operators used have one form: axes of `Squeeze` and parts of `Split` are inputs."""


def processing(
    piece: Piece, inputs: dict[str, ir.Value], *, places: int, classes: int, overlap_max: float | None, opset: int
) -> ir.Model:
    """The network that is put behind a detector's.

    Args:
        piece: decoding of its family.
        inputs: name of an input -> the output of the detector that goes in there, of known type and shape.
        places: N of the piece.
        classes: number of classes.
        overlap_max: see `contract.manifest.Boxes`; None for no suppression.
        opset: of the detector.

    Returns:
        A model that gives `boxes`, `scores`, `classes` as `contract.detection` says, K = min(100, N).
    """
    most = min(MOST_BOXES, places)
    chosen = _all(most) if overlap_max is None else _suppressed(min(CANDIDATES, places), most, classes, overlap_max)
    last = _ranked(most)
    rows = _dimension(next(iter(inputs.values())), 0)
    given = ", ".join(f"{_type(value)}[{_dimensions(value)}] {name}" for name, value in inputs.items())
    gives = f"float[{rows}, {most}, 4] {BOXES}, float[{rows}, {most}] {SCORES}, int64[{rows}, {most}] {CLASSES}"
    text = "\n".join((piece.nodes, chosen.nodes, last.nodes))
    version = max(opset, _LOWEST_OPSET)
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {version}]> boxes ({given}) => ({gives}) {{{text}}}')
    constants = piece.constants | chosen.constants | last.constants
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items())
    onnx.checker.check_model(proto)
    model = ir.from_proto(proto)
    opening.tidy(model)
    shapes.infer(model)
    return model


def _all(most: int) -> Piece:
    """The best places; a score below the floor becomes zero."""
    nodes = """
        best_scores, order = TopK <axis = 1> (confidences, most)
        high_enough = Greater (best_scores, floor)
        final = Where (high_enough, best_scores, zero)
    """
    constants = {"most": np.array([most]), "floor": number(SCORE_FLOOR)}
    return _with_places(Piece(nodes=nodes, constants=constants))


def _suppressed(candidates: int, most: int, classes: int, overlap_max: float) -> Piece:
    """The best places, each that overlaps a better one of its class too much with a score of zero."""
    nodes = """
        best_scores, order = TopK <axis = 1> (confidences, candidates)
        near_column = Unsqueeze (near_kinds, middle)
        of_class = Equal (near_column, class_column)
        membership = Cast <to = 1> (of_class)
        score_row = Unsqueeze (best_scores, middle)
        by_class = Mul (membership, score_row)
        kept = NonMaxSuppression (near, by_class, most, overlap_max, floor)
        seats = Gather <axis = 1> (kept, row_and_place)
        kept_scores = GatherND (best_scores, seats)
        row_shape = Shape (best_scores)
        blank = ConstantOfShape (row_shape)
        final = ScatterND (blank, seats, kept_scores)
    """
    constants = {
        "candidates": np.array([candidates]),
        "middle": np.array([1]),
        "class_column": np.arange(classes)[None, :, None],
        "most": np.array([most]),
        "overlap_max": np.array([overlap_max], dtype=np.float32),
        "floor": np.array([SCORE_FLOOR], dtype=np.float32),
        "row_and_place": np.array([0, 2]),
    }
    return _with_places(Piece(nodes=nodes, constants=constants))


def _with_places(piece: Piece) -> Piece:
    """Boxes and classes of the places that `order` names: `near` and `near_kinds`, between the sorting and what follows it."""
    sorting, *following = piece.nodes.strip().splitlines()
    gather = """
        order_column = Unsqueeze (order, end)
        order_four = Expand (order_column, four_columns)
        near = GatherElements <axis = 1> (corners, order_four)
        near_kinds = GatherElements <axis = 1> (kinds, order)
    """
    constants = {"end": np.array([2]), "four_columns": np.array([1, 1, 4])}
    return Piece(nodes="\n".join((sorting, gather, *following)), constants=piece.constants | constants)


def _ranked(most: int) -> Piece:
    """The K best of `final`, by falling score, with zeros and `NO_CLASS` where none is left; NaN where the network gave NaN."""
    nodes = f"""
        last_scores, ranks = TopK <axis = 1> (final, rank_count)
        rank_column = Unsqueeze (ranks, end)
        rank_four = Expand (rank_column, four_columns)
        last_boxes = GatherElements <axis = 1> (near, rank_four)
        last_kinds = GatherElements <axis = 1> (near_kinds, ranks)
        real = Greater (last_scores, zero)
        real_column = Unsqueeze (real, end)
        {BOXES} = Where (real_column, last_boxes, zero)
        {CLASSES} = Where (real, last_kinds, no_class)
        poison_column = Unsqueeze (poison, second)
        {SCORES} = Add (last_scores, poison_column)
    """
    constants = {
        "rank_count": np.array([most]),
        "zero": number(0),
        "no_class": np.array(NO_CLASS, dtype=np.int64),
        "second": np.array([1]),
    }
    return Piece(nodes=nodes, constants=constants)


def _type(value: ir.Value) -> str:
    return {ir.DataType.FLOAT: "float", ir.DataType.FLOAT16: "float16", ir.DataType.DOUBLE: "double"}[
        value.dtype or ir.DataType.FLOAT
    ]


def _dimensions(value: ir.Value) -> str:
    return ", ".join(_dimension(value, axis) for axis in range(len(value.shape or ())))


def _dimension(value: ir.Value, axis: int) -> str:
    size = value.shape[axis] if value.shape is not None else None
    return str(size if isinstance(size, int) else "batch")
