"""How good answers are, against the truth or the unsplit network: judges of classes, of boxes, and of boxes of known truth."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from isthmus.contract import detection, overlap
from isthmus.contract.bundle import Bundle
from isthmus.contract.detection import Found
from isthmus.contract.manifest import Port
from isthmus.contract.metric import Metric, proportion
from isthmus.contract.prepare import Geometry, geometry
from isthmus.errors import ExportError
from isthmus.export.annotations import Truth
from isthmus.export.average_precision import matches, precisions
from isthmus.export.samples import Samples

BOX_OVERLAP = 0.5
"""Two boxes of one class that overlap so much are the same thing, as in Pascal VOC and COCO's AP50."""
_DRAWS = 1000
"""Of pictures with replacement; the 95% bounds of a share move by less than a tenth of their distance with more."""

Answer = TypeVar("Answer")


class Judge(Protocol[Answer]):
    """Reads answers and scores them."""

    words: str
    """What the metric is, for people."""

    def read(self, outputs: Mapping[str, np.ndarray]) -> Answer:
        """What an answer says that counts."""
        ...

    def score(self, answers: Sequence[Answer], whole: Sequence[Answer]) -> tuple[Metric, ...]:
        """How good answers are; the first figure is the one to choose by.

        Args:
            answers: to every picture, in order.
            whole: the unsplit network's to the same pictures.
        """
        ...


class ClassJudge:
    """The likeliest class, against labels or, where there are none, against the unsplit network.

    Raises:
        ExportError: the labels are of other classes than the bundle's.
    """

    def __init__(self, bundle: Bundle, samples: Samples) -> None:
        self._output = bundle.manifest.outputs[0].name
        self._classes = _classes(bundle, samples)
        self._name = "agreement" if self._classes is None else "accuracy"
        self.words = "agreement with the unsplit network" if self._classes is None else "top-1 accuracy"

    def read(self, outputs: Mapping[str, np.ndarray]) -> int:
        """The class of highest score."""
        return int(outputs[self._output].argmax())

    def score(self, answers: Sequence[int], whole: Sequence[int]) -> tuple[Metric, ...]:
        """Share of right classes."""
        truth = np.array(whole) if self._classes is None else self._classes
        return (proportion(self._name, int((np.array(answers) == truth).sum()), len(truth)),)


class BoxJudge:
    """The boxes that people are shown, against those of the unsplit network."""

    words = f"F1 of the boxes against those of the unsplit network, same class, overlap of at least {BOX_OVERLAP:g}"

    def __init__(self, bundle: Bundle) -> None:
        boxes = bundle.manifest.task.boxes
        assert boxes is not None
        self._score_min = boxes.score_min

    def read(self, outputs: Mapping[str, np.ndarray]) -> Found:
        """The boxes that are shown."""
        return detection.read(outputs).above(self._score_min)

    def score(self, answers: Sequence[Found], whole: Sequence[Found]) -> tuple[Metric, ...]:
        """F1 over all boxes of all pictures."""
        pairs = [len(overlap.pairs(one, other, overlap_min=BOX_OVERLAP)) for one, other in zip(answers, whole, strict=True)]
        boxes = [len(one) + len(other) for one, other in zip(answers, whole, strict=True)]
        return (f1("box agreement F1", np.array(pairs), np.array(boxes)),)


class TruthJudge:
    """All boxes with a score, against the true ones: average precision as COCO's.

    Boxes are compared in pixels of the prepared input, which pictures that a rival has shrunk share with whole ones; what lies
    beyond the picture is cut off, as in what the agent reports.

    Raises:
        ExportError: a category is no class of the bundle.
    """

    words = "average precision (AP50: overlap 0.5; AP: ten overlaps from 0.5 to 0.95) against true boxes, by pycocotools"

    def __init__(self, bundle: Bundle, samples: Samples) -> None:
        assert samples.truth is not None
        assert bundle.manifest.preparation is not None
        self._classes = _of_names(bundle, samples)
        self._count = 1 + max((*self._classes, len(bundle.manifest.task.labels) - 1))
        sizes = [(picture.shape[1], picture.shape[0]) for picture in samples.pictures]
        places = [geometry(bundle.manifest.preparation, *size) for size in sizes]
        self._bounds = [place.to_prepared(np.array([[0.0, 0.0], size])) for place, size in zip(places, sizes, strict=True)]
        self._truth = [self._prepared(one, place) for one, place in zip(samples.truth, places, strict=True)]

    def _prepared(self, truth: Truth, place: Geometry) -> Truth:
        corners = place.to_prepared(truth.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        return Truth(boxes=corners, classes=self._classes[truth.classes], crowd=truth.crowd)

    def read(self, outputs: Mapping[str, np.ndarray]) -> Found:
        """Every box that was found."""
        return detection.read(outputs)

    def score(self, answers: Sequence[Found], whole: Sequence[Found]) -> tuple[Metric, ...]:
        """AP50 and AP, with 95% intervals from drawing pictures anew."""
        drawn = self.drawn(answers)
        return tuple(_interval(name, values) for name, values in (("AP50", drawn[:, 0]), ("AP", drawn.mean(1))))

    def drawn(self, answers: Sequence[Found]) -> np.ndarray:
        """float64[1 + draw, overlap]: precision of all pictures, then of the same draws of pictures for whatever is judged."""
        counts = np.random.default_rng(0).multinomial(len(answers), [1 / len(answers)] * len(answers), _DRAWS)
        counted = np.concatenate([np.ones((1, len(answers)), counts.dtype), counts])
        clipped = [self._clipped(found, bounds) for found, bounds in zip(answers, self._bounds, strict=True)]
        return precisions(matches(clipped, self._truth, self._count), counted)

    def _clipped(self, found: Found, bounds: np.ndarray) -> Found:
        corners = found.boxes.reshape(-1, 2, 2).clip(bounds[0], bounds[1]).reshape(-1, 4)
        return Found(boxes=corners, scores=found.scores, classes=found.classes)


def _interval(name: str, values: np.ndarray) -> Metric:
    """The first of some figures, with the 95% of the others round it; nothing is known where no box is true.

    Draws show some pictures twice, and of those average precision is too high by some points where classes are rare: the interval
    is moved until the middle of the draws is the figure itself.
    """
    if np.isnan(values[0]):
        return Metric(name=name, value=0.0, low=0.0, high=1.0)
    low, middle, high = np.nanpercentile(values[1:], (2.5, 50, 97.5))
    value, moved = float(values[0]), float(values[0] - middle)
    return Metric(name=name, value=value, low=max(0.0, float(low) + moved), high=min(1.0, float(high) + moved))


def judge_of(bundle: Bundle, samples: Samples) -> Judge[Any]:
    """The judge for a bundle's task.

    Raises:
        ExportError: the labels, or the categories of true boxes, are of other classes than the bundle's.
    """
    if bundle.manifest.task.kind != "detection":
        return ClassJudge(bundle, samples)
    return BoxJudge(bundle) if samples.truth is None else TruthJudge(bundle, samples)


def f1(name: str, pairs: np.ndarray, boxes: np.ndarray) -> Metric:
    """2 x pairs / boxes of both sides, with a 95% interval.

    Boxes of one picture stand or fall together, so the interval comes from drawing pictures anew (percentiles of the bootstrap,
    Efron 1979, Ann. Statist. 7:1-26). Where nothing went wrong a draw cannot go wrong either, so it is widened to Wilson's for
    the share of boxes that have a partner, as if boxes were independent. Without boxes nothing is known.

    Args:
        name: of the metric.
        pairs: int[picture], boxes that have a partner, counted once for both.
        boxes: int[picture], of both sides.

    >>> f1("F1", np.array([4, 5]), np.array([10, 10])).value
    0.9
    """
    total = int(boxes.sum())
    independent = proportion(name, 2 * int(pairs.sum()), total)
    if total == 0:
        return independent
    drawn = np.random.default_rng(0).integers(0, len(boxes), (_DRAWS, len(boxes)))
    counts = boxes[drawn].sum(axis=1)
    shares = 2 * pairs[drawn].sum(axis=1)[counts > 0] / counts[counts > 0]
    low, high = np.percentile(shares, (2.5, 97.5)) if len(shares) else (0.0, 1.0)
    return independent.model_copy(update={"low": min(independent.low, float(low)), "high": max(independent.high, float(high))})


def class_count(port: Port) -> int:
    """Number of class scores in an output [batch, class]; 0 where it is of another shape."""
    return (port.shape[1] or 0) if len(port.shape) == 2 else 0


def _classes(bundle: Bundle, samples: Samples) -> np.ndarray | None:
    """The labels as classes of the network; None where there are no labels."""
    if samples.labels is None:
        return None
    count = class_count(bundle.manifest.outputs[0])
    classes = samples.classes(bundle.manifest.task.labels, count)
    if classes is None:
        raise ExportError(
            f"{samples.origin} has the classes {', '.join(samples.names[:8])} ({len(samples.names)}), {bundle.origin} gives "
            f"{count} class scores ({', '.join(bundle.manifest.task.labels[:8]) or 'without names'}); give data of its classes"
        )
    return classes


def _of_names(bundle: Bundle, samples: Samples) -> np.ndarray:
    """int64[category]: the bundle's class of each category of true boxes, by its name."""
    known = bundle.manifest.task.labels
    places = {name: place for place, name in enumerate(known)}
    strange = [name for name in samples.names if name not in places]
    if strange:
        raise ExportError(
            f"{samples.origin} has boxes of {', '.join(strange[:4])} ({len(strange)} such categories), {bundle.origin} knows "
            f"{', '.join(known[:4]) or 'no names'} ({len(known)}); give annotations of its classes, or export it with --labels"
        )
    return np.array([places[name] for name in samples.names], dtype=np.int64)
