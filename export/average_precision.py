"""Average precision as COCO defines it: pycocotools pairs boxes, and pictures are drawn anew for the intervals.

Precision is read at 101 recalls, after it was made to fall (Lin et al. 2014, "Microsoft COCO: Common Objects in Context", and
the reference code, `pycocotools.cocoeval`), and averaged over classes and, for AP, over ten overlaps from 0.5 to 0.95. With every
picture counted once the figures are those that `COCOeval.summarize` prints.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.contract.detection import Found
from isthmus.errors import ExportError
from isthmus.export.annotations import Truth

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
BOXES_MAX = 100
"""Of a picture, those of highest score; COCO's own bound."""
VALUES_MAX = 1 << 24
"""Numbers held at a time while pictures are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassMatches:
    """Boxes of one class that were found, by falling score, and how many there are.

    Attributes:
        pictures: int64[n], of which picture each found box is.
        right: bool[overlap, n].
        ignored: bool[overlap, n], found in a crowd.
        true: int64[picture], true boxes.
    """

    pictures: np.ndarray
    right: np.ndarray
    ignored: np.ndarray
    true: np.ndarray


def matches(found: Sequence[Found], truth: Sequence[Truth], classes: int) -> list[ClassMatches]:
    """Pair found and true boxes of each picture, in the same pixels.

    Raises:
        ExportError: pycocotools is not installed.
    """
    try:
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ExportError("average precision needs pycocotools: pip install 'isthmus[export]'") from error
    with contextlib.redirect_stdout(io.StringIO()):  # it tells every step
        judged = COCOeval(_coco(_true_boxes(truth), len(truth), classes), _coco(_found_boxes(found), len(truth), classes), "bbox")
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.params.maxDets = [BOXES_MAX]
        judged.evaluate()
    by_class = [judged.evalImgs[start : start + len(truth)] for start in range(0, classes * len(truth), len(truth))]
    return [_of_class(images) for images in by_class]


def precisions(of_classes: Sequence[ClassMatches], counts: np.ndarray) -> np.ndarray:
    """Average precision of draws of pictures.

    Args:
        of_classes: see `matches`.
        counts: int[draw, picture], how often each picture counts.

    Returns:
        float64[draw, overlap]; NaN where no class has a true box.
    """
    held = [_of_draws(one, counts) for one in of_classes if one.true.any()]
    if not held:
        return np.full((len(counts), len(OVERLAPS)), np.nan)
    each = np.stack(held)
    known = ~np.isnan(each)
    shown = known.sum(0)
    return np.where(shown > 0, np.where(known, each, 0.0).sum(0) / np.maximum(shown, 1), np.nan)


def _of_draws(matched: ClassMatches, counts: np.ndarray) -> np.ndarray:
    """float64[draw, overlap] of one class; NaN for draws in which it does not occur."""
    some = max(1, VALUES_MAX // max(1, len(matched.pictures)))
    parts = [_precision(matched, counts[start : start + some]) for start in range(0, len(counts), some)]
    return np.concatenate(parts)


def _precision(matched: ClassMatches, counts: np.ndarray) -> np.ndarray:
    true = (counts @ matched.true).astype(np.float64)
    drawn = counts[:, matched.pictures]
    every = np.cumsum(drawn, axis=1)
    found = np.empty((len(counts), len(OVERLAPS)))
    for place, (right, ignored) in enumerate(zip(matched.right, matched.ignored, strict=True)):
        so_far = np.cumsum(drawn * ~ignored, axis=1) if ignored.any() else every
        # Recall rises and precision peaks at right boxes alone: the others need not be looked at.
        kept = right & ~ignored
        found[:, place] = _area(np.cumsum(drawn[:, kept], axis=1), so_far[:, kept], true)
    found[true == 0] = np.nan
    return found


def _area(right: np.ndarray, so_far: np.ndarray, true: np.ndarray) -> np.ndarray:
    """float64[draw]: mean of the falling precision over the recalls; right boxes and all boxes so far, int[draw, right box]."""
    precision = right / (so_far + np.spacing(1))
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # How many of the recalls are first reached by each box.
    reached = np.searchsorted(RECALLS, right / np.maximum(true, 1)[:, None], side="right")
    fresh = np.diff(reached, axis=1, prepend=0)
    area: np.ndarray = (falling * fresh).sum(1) / len(RECALLS)
    return area


def _of_class(images: Sequence[dict[str, list[float]] | None]) -> ClassMatches:
    """Join what pycocotools says of every picture, None where the class neither is there nor was found."""
    seen = [(place, image) for place, image in enumerate(images) if image is not None]
    true = np.zeros(len(images), dtype=np.int64)
    for place, image in seen:
        true[place] = np.count_nonzero(np.asarray(image["gtIgnore"]) == 0)
    scores = np.concatenate([np.zeros(0), *(np.asarray(image["dtScores"], dtype=np.float64) for _, image in seen)])
    order = np.argsort(-scores, kind="mergesort")  # stable, as in pycocotools
    pictures = np.concatenate([np.zeros(0, np.int64), *(np.full(len(image["dtScores"]), place) for place, image in seen)])
    empty = np.zeros((len(OVERLAPS), 0), dtype=bool)
    right = np.concatenate([empty, *(np.asarray(image["dtMatches"]) > 0 for _, image in seen)], axis=1)
    ignored = np.concatenate([empty, *(np.asarray(image["dtIgnore"]) > 0 for _, image in seen)], axis=1)
    return ClassMatches(pictures=pictures[order].astype(np.int64), right=right[:, order], ignored=ignored[:, order], true=true)


def _coco(boxes: list[dict[str, object]], pictures: int, classes: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from pycocotools.coco import COCO

    made = COCO()
    made.dataset = {
        "images": [{"id": place} for place in range(pictures)],
        "categories": [{"id": index} for index in range(classes)],
        "annotations": [{"id": number, **box} for number, box in enumerate(boxes, 1)],
    }
    made.createIndex()
    return made


def _true_boxes(truth: Sequence[Truth]) -> list[dict[str, object]]:
    return [
        {**_box(corners), "image_id": place, "category_id": int(index), "iscrowd": int(crowd)}
        for place, one in enumerate(truth)
        for corners, index, crowd in zip(one.boxes, one.classes, one.crowd, strict=True)
    ]


def _found_boxes(found: Sequence[Found]) -> list[dict[str, object]]:
    return [
        {**_box(corners), "image_id": place, "category_id": int(index), "iscrowd": 0, "score": float(score)}
        for place, one in enumerate(found)
        for corners, index, score in zip(one.boxes, one.classes, one.scores, strict=True)
    ]


def _box(corners: np.ndarray) -> dict[str, object]:
    left, top, right, bottom = map(float, corners)
    return {"bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)}
