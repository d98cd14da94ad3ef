"""Which family of detectors a network is of, by the shapes and the values of its outputs; see `export.detectors.detector`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.errors import ExportError, UsageError
from isthmus.export.detectors import labels
from isthmus.export.detectors.decoding import Grid
from isthmus.export.detectors.detector import FAMILIES, Detector
from isthmus.export.doors.opening import Source
from isthmus.export.graph.flow import PICTURE_CHANNELS, data_inputs, dimensions, name_of
from isthmus.export.graph.session import Session

AUTO, NONE = "auto", "none"

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32))
"""Of the usual networks, of those for large pictures, and of the tiny ones."""
_FOLLOWS_CELLS = (0.5, 1.5)
"""Pixels by which places move for each pixel that their cells do. Decoded ones move with them; what is not decoded does not know
of cells, and shares of the picture instead of pixels move hundreds of times less."""
_SOFTMAX_TOLERANCE = 1e-2
_QUERIES_MAX = 1000
"""DETR asks 100 to 900 times; several thousand places between 0 and 1 are the anchors of an SSD, in another form."""
_SOFTMAX_COUNTS, _SIGMOID_COUNTS = (81, 92, 366), (80, 91, 365)
"""Scores of DETR's kind on COCO and Objects365, with and without a class for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What is looked at.

    Attributes:
        width: of the input in pixels.
        height: of the input in pixels.
        outputs: name -> what the network gives on the example inputs.
        names: how many names of classes are known; 0 for none.
    """

    width: int
    height: int
    outputs: Mapping[str, np.ndarray]
    names: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """A family that the outputs fit."""

    family: str
    form: str
    outputs: tuple[str, ...]
    classes: int
    grid: Grid
    places: int


def recognise(
    source: Source,
    choice: str = AUTO,
    *,
    names: tuple[str, ...] = (),
    score_min: float | None = None,
    on_hint: Callable[[str], None] = lambda _words: None,
) -> Detector | None:
    """Find out what kind of detector a network is.

    Args:
        source: the network as it came in.
        choice: `auto`, `none`, or a key of `detector.FAMILIES`, for which the outputs must fit.
        names: of its classes, as the user gave them.
        score_min: from which score boxes are shown; None takes the family's.
        on_hint: told in one line what `auto` took the network for, and why it took it for nothing.

    Returns:
        None where it is no detector that is known here, where it is unclear which, or where `none` was chosen.

    Raises:
        UsageError: no such family, another number of names than classes, a score outside of 0 to 1, or a score for what is no
            detector.
        ExportError: the outputs do not fit the family that was chosen, or it is unclear how.
    """
    if choice not in (AUTO, NONE, *FAMILIES):
        raise UsageError(f"there is no detector family {choice!r}; known: auto, none, {', '.join(FAMILIES)}")
    if score_min is not None and not 0 <= score_min <= 1:
        raise UsageError(f"--score-min is {score_min}; give a score from 0 to 1")
    found = None if choice == NONE else _recognise(source, choice, names, score_min, on_hint)
    if found is None and score_min is not None:
        raise UsageError("--score-min is for the boxes of a detector, and none are made of this network's outputs; leave it out")
    return found


def _recognise(
    source: Source, choice: str, names: tuple[str, ...], score_min: float | None, on_hint: Callable[[str], None]
) -> Detector | None:
    view = _look(source, len(names) or len(source.labels))
    fits = [] if view is None else [fit for family, test in _TESTS.items() if choice in (AUTO, family) for fit in test(view)]
    if len(fits) != 1:
        trouble = _trouble(source, view, choice, fits)
        if choice != AUTO:
            raise ExportError(trouble)
        if view is not None and any(array.ndim > 2 for array in view.outputs.values()):
            on_hint(f"{trouble}; no boxes are made of them")
        return None
    detector = _detector(fits[0], source, names, score_min)
    on_hint(f"it is {detector.describe()}")
    return detector


def _trouble(source: Source, view: _View | None, choice: str, fits: Sequence[_Fit]) -> str:
    if fits:
        listed = " and ".join(f"{fit.family} ({fit.form})" for fit in fits)
        return f"the outputs fit {listed}; choose with --detector, or give --labels with one name for each class"
    if view is None:
        return f"the input {data_inputs(source.model.graph)[0].shape} is no picture of fixed size, as a detector takes"
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in view.outputs.items())
    verdict = "fit no known family of detectors" if choice == AUTO else f"do not fit the family {choice}; {_WANTED[choice]}"
    return f"the outputs {shapes} for {view.width}x{view.height} pixels {verdict}"


def _detector(fit: _Fit, source: Source, names: tuple[str, ...], score_min: float | None) -> Detector:
    family = FAMILIES[fit.family]
    return Detector(
        family=family,
        form=fit.form,
        outputs=fit.outputs,
        classes=fit.classes,
        grid=fit.grid,
        places=fit.places,
        labels=labels.for_classes(fit.classes, names, source.labels),
        score_min=family.score_min if score_min is None else score_min,
    )


def _look(source: Source, names: int) -> _View | None:
    given = data_inputs(source.model.graph)
    shape = dimensions(given[0]) if len(given) == 1 else None
    if shape is None or len(shape) != 4:
        return None
    height, width = shape[2:] if shape[1] in PICTURE_CHANNELS else shape[1:3]
    outputs = Session(source.model).run({name_of(given[0]): source.example_inputs[0]})
    floats = {name: array for name, array in outputs.items() if isinstance(array, np.ndarray) and array.dtype.kind == "f"}
    return _View(width=width, height=height, outputs=floats, names=names)


def _fastestdet(view: _View) -> Iterator[_Fit]:
    grid = Grid(width=view.width, height=view.height, strides=(16,))
    for name, array in _alone(view):
        if array.ndim != 4 or array.shape[1] < 6 or array.shape[2:] != (view.height // 16, view.width // 16):
            continue
        sums = array[:, 5:].astype(np.float64).sum(axis=1)
        if _are_chances(array[:, :1]) and np.abs(sums - 1).max() < _SOFTMAX_TOLERANCE:
            yield _Fit(family="fastestdet", form="raw", outputs=(name,), classes=array.shape[1] - 5, grid=grid, places=len(grid))


def _yolox(view: _View) -> Iterator[_Fit]:
    grid = Grid(width=view.width, height=view.height, strides=STRIDES[0])
    for name, array in _alone(view):
        if array.ndim == 3 and array.shape[1] == len(grid) and array.shape[2] >= 6 and _are_chances(array[..., 4:]):
            form = "decoded" if _follow_cells(array[..., :2], grid) else "raw"
            yield _Fit(family="yolox", form=form, outputs=(name,), classes=array.shape[2] - 5, grid=grid, places=len(grid))


def _yolov5(view: _View) -> Iterator[_Fit]:
    for strides in STRIDES:
        grid = Grid(width=view.width, height=view.height, strides=strides, anchors=3)
        for name, array in _without_maps(view):
            fits = array.ndim == 3 and array.shape[1] == len(grid) and array.shape[2] >= 6
            if fits and _are_chances(array[..., 4:]) and _follow_cells(array[..., :2], grid):
                classes = array.shape[2] - 5
                yield _Fit(family="yolov5", form="decoded", outputs=(name,), classes=classes, grid=grid, places=len(grid))


def _yolov8(view: _View) -> Iterator[_Fit]:
    for strides in STRIDES:
        grid = Grid(width=view.width, height=view.height, strides=strides)
        for name, array in _alone(view):
            fits = array.ndim == 3 and array.shape[2] == len(grid) and array.shape[1] >= 5
            if fits and _are_chances(array[:, 4:]) and _follow_cells(array[:, :2].transpose(0, 2, 1), grid):
                classes = array.shape[1] - 4
                yield _Fit(family="yolov8", form="decoded", outputs=(name,), classes=classes, grid=grid, places=len(grid))


def _detr(view: _View) -> Iterator[_Fit]:
    places = [name for name, array in view.outputs.items() if array.ndim == 3 and array.shape[2] == 4 and _are_chances(array)]
    boxes = "pred_boxes" if "pred_boxes" in places else places[0] if len(places) == 1 else None
    if boxes is None or view.outputs[boxes].shape[1] > _QUERIES_MAX:
        return
    queries = view.outputs[boxes].shape[1]
    scores = [name for name, array in view.outputs.items() if name != boxes and array.ndim == 3 and array.shape[1] == queries]
    logits = "logits" if "logits" in scores else scores[0] if len(scores) == 1 else None
    if logits is None or view.outputs[logits].shape[2] < 2:
        return
    count = view.outputs[logits].shape[2]
    grid = Grid(width=view.width, height=view.height, strides=())
    for form in _forms(count, view.names):
        classes = count - (form == "softmax")
        places_count = queries if form == "softmax" else queries * classes
        yield _Fit(family="detr", form=form, outputs=(logits, boxes), classes=classes, grid=grid, places=places_count)


def _forms(count: int, names: int) -> tuple[str, ...]:
    """By the number of names where they are known; else by the numbers of well-known data; else both."""
    if names in (count, count - 1):
        return ("sigmoid",) if names == count else ("softmax",)
    if count in _SOFTMAX_COUNTS:
        return ("softmax",)
    return ("sigmoid",) if count in _SIGMOID_COUNTS else ("softmax", "sigmoid")


_TESTS: dict[str, Callable[[_View], Iterator[_Fit]]] = {
    "fastestdet": _fastestdet,
    "yolox": _yolox,
    "yolov5": _yolov5,
    "yolov8": _yolov8,
    "detr": _detr,
}
_WANTED = {
    "fastestdet": "it wants [batch, 5 + class, row/16, column/16], classes behind a softmax",
    "yolox": "it wants [batch, N, 5 + class], N cells at strides 8, 16 and 32, chances behind a sigmoid",
    "yolov5": "it wants [batch, 3 N, 5 + class], N cells at its strides, boxes decoded to pixels",
    "yolov8": "it wants [batch, 4 + class, N], N cells at its strides, boxes decoded to pixels",
    "detr": "it wants logits [batch, query, class] and places [batch, query, 4] between 0 and 1",
}


def _alone(view: _View) -> Iterator[tuple[str, np.ndarray]]:
    """The output of a network that has one; masks, keypoints and the like come as a second one."""
    if len(view.outputs) == 1:
        yield from view.outputs.items()


def _without_maps(view: _View) -> Iterator[tuple[str, np.ndarray]]:
    """The same where old exports give the maps [batch, anchor, row, column, 5 + class] too, from which the boxes were decoded."""
    kept = {name: array for name, array in view.outputs.items() if array.ndim != 5}
    if len(kept) == 1:
        yield from kept.items()


def _are_chances(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1)


def _follow_cells(centres: np.ndarray, grid: Grid) -> bool:
    """Whether centres [batch, N, 2] are pixels that follow their cells: the slope of a line through (cell, centre)."""
    cells = (grid.corners() + 0.5) * grid.steps()
    away = cells - cells.mean(axis=0)
    moved = centres - centres.mean(axis=1, keepdims=True)
    slope = float((moved * away).sum() / ((away**2).sum() * len(centres)))
    return _FOLLOWS_CELLS[0] < slope < _FOLLOWS_CELLS[1]
