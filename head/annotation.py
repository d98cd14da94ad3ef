"""Draw an answer into the picture it is about: boxes with label and score, or the class in a corner."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isthmus.contract.classification import Classification
from isthmus.contract.detection import Detection
from isthmus.contract.picture import Picture

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _BLACK, _GREY = (255, 255, 255), (0, 0, 0), (160, 160, 160)
_GOLDEN_RATIO = 0.618033988749895
"""Hues a golden ratio apart stay far from each other however many there are."""
_LETTER_SHARE = 1 / 30
"""Height of a line of text as part of the shorter side of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is drawn.

    Attributes:
        detections: boxes in pixels of the picture.
        classification: of the whole picture.
        note: words for the corner, as why there is no answer.
        stale: it was said of an earlier picture; boxes are grey and thin.
    """

    detections: Sequence[Detection] = ()
    classification: Classification | None = None
    note: str = ""
    stale: bool = False


def draw(picture: Picture, said: Said) -> Picture:
    """The picture with what was said of it; the given one is not changed.

    Args:
        picture: uint8[row, column, 3] in BGR order.
        said: labels may hold any characters; what is not ASCII is drawn as a question mark, for OpenCV has no other letters.
    """
    drawn = picture.copy()
    pen = _Pen(drawn)
    for detection in reversed(said.detections):  # the surest on top
        colour = _GREY if said.stale else _colour(detection.index)
        pen.box(detection.box, colour, thin=said.stale)
        pen.text(f"{detection.label} {detection.score:.2f}", (detection.box[0], detection.box[1]), colour, above=True)
    if said.classification is not None:
        words = f"{said.classification.label} {said.classification.confidence:.2f}"
        pen.text(words, (0, 0), _GREY if said.stale else _colour(said.classification.index))
    if said.note:
        pen.text(said.note, (0, drawn.shape[0]), _BLACK, above=True)
    return drawn


def _colour(index: int) -> tuple[int, int, int]:
    """A bright colour in BGR order, another for every class."""
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, 0.85, 1.0)
    return round(255 * blue), round(255 * green), round(255 * red)


class _Pen:
    """Draws into one picture, in sizes that suit it."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._height, self._width = picture.shape[:2]
        self._letter = max(8, round(min(self._height, self._width) * _LETTER_SHARE))
        self._line = max(1, round(self._letter / 10))
        self._scale = cv2.getFontScaleFromHeight(_FONT, self._letter, self._line)

    def box(self, corners: tuple[float, float, float, float], colour: tuple[int, int, int], *, thin: bool) -> None:
        left, top, right, bottom = (round(value) for value in corners)
        cv2.rectangle(self._picture, (left, top), (right - 1, bottom - 1), colour, 1 if thin else 2 * self._line)

    def text(self, words: str, place: tuple[float, float], colour: tuple[int, int, int], *, above: bool = False) -> None:
        """Write on a bar of `colour` at `place`, its upper left corner, or above it its lower left; moved into the picture."""
        plain = words.encode("ascii", "replace").decode("ascii")
        (width, height), below = cv2.getTextSize(plain, _FONT, self._scale, self._line)
        tall, wide = height + below + 2 * self._line, width + 2 * self._line
        left = int(np.clip(round(place[0]), 0, max(0, self._width - wide)))
        top = int(np.clip(round(place[1]) - tall * above, 0, max(0, self._height - tall)))
        cv2.rectangle(self._picture, (left, top), (left + wide, top + tall), colour, cv2.FILLED)
        ink = _WHITE if sum(colour) < 300 else _BLACK
        corner = (left + self._line, top + self._line + height)
        cv2.putText(self._picture, plain, corner, _FONT, self._scale, ink, self._line, cv2.LINE_AA)
