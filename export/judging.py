"""How good answers are, against the truth or against the unsplit network: one judge for classes, one for boxes.

Average precision needs true boxes; a judge of it would be a third one here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from isthmus.contract import detection, overlap
from isthmus.contract.bundle import Bundle
from isthmus.contract.detection import Found
from isthmus.contract.manifest import Port
from isthmus.contract.metric import Metric, proportion
from isthmus.errors import ExportError
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

    def score(self, answers: Sequence[Answer], whole: Sequence[Answer]) -> Metric:
        """How good answers are.

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

    def score(self, answers: Sequence[int], whole: Sequence[int]) -> Metric:
        """Share of right classes."""
        truth = np.array(whole) if self._classes is None else self._classes
        return proportion(self._name, int((np.array(answers) == truth).sum()), len(truth))


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

    def score(self, answers: Sequence[Found], whole: Sequence[Found]) -> Metric:
        """F1 over all boxes of all pictures."""
        pairs = [len(overlap.pairs(one, other, overlap_min=BOX_OVERLAP)) for one, other in zip(answers, whole, strict=True)]
        boxes = [len(one) + len(other) for one, other in zip(answers, whole, strict=True)]
        return f1("box agreement F1", np.array(pairs), np.array(boxes))


def judge_of(bundle: Bundle, samples: Samples) -> Judge[Any]:
    """The judge for a bundle's task.

    Raises:
        ExportError: the labels are of other classes than the bundle's.
    """
    return BoxJudge(bundle) if bundle.manifest.task.kind == "detection" else ClassJudge(bundle, samples)


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
