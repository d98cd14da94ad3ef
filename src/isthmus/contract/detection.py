"""What the outputs of a detector say.

Every detector answers alike, whatever its family, for its decoding is part of its network:

    boxes    float32[batch, K, 4]   x1 y1 x2 y2 in pixels of the prepared input, not clipped to it
    scores   float32[batch, K]      falling; 0 where there is no further box
    classes  int64[batch, K]        index of the class, -1 where there is no further box

Read for people, boxes are in pixels of the picture that the camera took and lie within it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isthmus.contract.manifest import Manifest
from isthmus.contract.prepare import geometry
from isthmus.errors import ContractMismatch

BOXES, SCORES, CLASSES = "boxes", "scores", "classes"
NO_CLASS = -1
"""Fills `classes` where there is no further box, so that nobody takes the filling for a thing of class 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One thing seen.

    Attributes:
        index: of its class.
        label: of its class.
        score: 0 to 1.
        box: x1, y1, x2, y2 in pixels of the source picture, within it; x2 > x1 and y2 > y1.
    """

    index: int
    label: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The boxes of one frame, without filling, by falling score.

    Attributes:
        boxes: float64[n, 4], x1 y1 x2 y2.
        scores: float64[n].
        classes: int64[n].
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score_min: float) -> "Found":
        """Those with at least this score."""
        kept = self.scores >= score_min
        return Found(boxes=self.boxes[kept], scores=self.scores[kept], classes=self.classes[kept])


def rows(outputs: Mapping[str, np.ndarray]) -> int:
    """Number of frames in an answer.

    Raises:
        ContractMismatch: an output is missing or of another shape.
    """
    return len(_arrays(outputs)[1])


def read(outputs: Mapping[str, np.ndarray], row: int = 0) -> Found:
    """The boxes of one frame of an answer, in pixels of the prepared input.

    Raises:
        ContractMismatch: an output is missing or of another shape.
    """
    boxes, scores, classes = (array[row] for array in _arrays(outputs))
    real = ~(scores <= 0)  # NaN is no filling, and must not vanish
    return Found(
        boxes=boxes[real].astype(np.float64), scores=scores[real].astype(np.float64), classes=classes[real].astype(np.int64)
    )


def _arrays(outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    missing = [name for name in (BOXES, SCORES, CLASSES) if name not in outputs]
    if missing:
        raise ContractMismatch(f"the answer holds {', '.join(sorted(outputs)) or 'nothing'}; a detector's needs {missing[0]!r}")
    boxes, scores, classes = (np.asarray(outputs[name]) for name in (BOXES, SCORES, CLASSES))
    if boxes.ndim != 3 or boxes.shape[2] != 4 or scores.shape != boxes.shape[:2] or classes.shape != scores.shape:
        raise ContractMismatch(
            f"boxes {list(boxes.shape)}, scores {list(scores.shape)} and classes {list(classes.shape)} do not belong together; "
            "they are [batch, K, 4], [batch, K] and [batch, K]"
        )
    if classes.dtype.kind not in "iu":
        raise ContractMismatch(f"classes are {classes.dtype}, they must be integers")
    return boxes, scores, classes


def detect(outputs: Mapping[str, np.ndarray], manifest: Manifest, *, width: int, height: int) -> tuple[Detection, ...]:
    """Read one answer of a detector for people.

    Args:
        outputs: of one frame, as the head of this module says.
        manifest: of the bundle that answered; says how pictures are prepared and from which score boxes are shown.
        width: of the source picture, in pixels.
        height: of the source picture, in pixels.

    Returns:
        By falling score. A box that lies outside the picture altogether, in the bars of a letterbox, is left out.

    Raises:
        ContractMismatch: the outputs are not those of a detector, or a class has no label.
    """
    preparation, task = manifest.preparation, manifest.task
    if task.boxes is None or preparation is None:
        raise ContractMismatch(f"{manifest.id} is no detector of pictures; its task is {task.kind!r}")
    found = read(outputs).above(task.boxes.score_min)
    corners = geometry(preparation, width, height).to_source(found.boxes.reshape(-1, 2, 2))
    clipped = np.clip(corners, 0, (width, height)).reshape(-1, 4)
    visible = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return tuple(
        Detection(index=int(index), label=_label(int(index), task.labels), score=float(score), box=_box(box))
        for box, score, index in zip(clipped[visible], found.scores[visible], found.classes[visible], strict=True)
    )


def _box(corners: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, corners)
    return left, top, right, bottom


def _label(index: int, labels: tuple[str, ...]) -> str:
    if not labels:
        return str(index)
    if not 0 <= index < len(labels):
        raise ContractMismatch(f"a box is of class {index}, the bundle names {len(labels)} labels")
    return labels[index]
