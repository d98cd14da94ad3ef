"""Pictures that are sent instead of codes: shrunk, compressed, and given to the unsplit detector as they come out.

The picture keeps its shape: no grey bars are sent. Its bytes are without what both ends could agree on beforehand, which
favours it (`headline.codecs.bare_size`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from benchmarks.headline.codecs import Setting, bare_size

QUALITIES = {"webp": (2, 10, 25, 50, 80), "avif": (12, 22, 35, 50, 65), "jpeg": (6, 12, 25, 50, 80)}
SIDES = (416, 288, 208)
"""Of the longer side, in pixels; the network's own comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One way to send a picture."""

    codec: str
    side: int
    quality: int

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.codec} {self.side} px, quality {self.quality}"

    def encode(self, picture: np.ndarray) -> bytes:
        """Shrink and compress uint8[row, column, 3]."""
        small = shrunk(picture, self.side)
        return Setting(self.codec, small.shape[0], self.quality).encode(small)

    def through(self, picture: np.ndarray) -> tuple[np.ndarray, int]:
        """What arrives of uint8[row, column, 3], and the bytes that crossed."""
        data = self.encode(picture)
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), bare_size(self.codec, data)


def every(qualities_each: int | None = None) -> list[Sent]:
    """All ways, or some qualities of each codec at the network's own size."""
    if qualities_each is not None:
        return [
            Sent(codec=codec, side=SIDES[0], quality=quality)
            for codec, known in QUALITIES.items()
            for quality in known[:qualities_each]
        ]
    return [
        Sent(codec=codec, side=side, quality=quality) for codec, known in QUALITIES.items() for side in SIDES for quality in known
    ]


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture with its longer side brought down to `side`; a smaller one stays what it is."""
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def envelope(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """(bytes, precision) of those that no other beats in both, by rising bytes.

    >>> envelope([(100, 0.2), (300, 0.5), (200, 0.1)])
    [(100, 0.2), (300, 0.5)]
    """
    best: list[tuple[float, float]] = []
    for size, precision in sorted(points, key=lambda one: (one[0], -one[1])):
        if not best or precision > best[-1][1]:
            best.append((size, precision))
    return best


def bytes_for(points: Sequence[tuple[float, float]], precision: float) -> float | None:
    """Fewest bytes at which the envelope reaches a precision, between its points by the logarithm of the bytes; None: never."""
    before: tuple[float, float] | None = None
    for size, reached in envelope(points):
        if reached >= precision:
            if before is None:
                return size
            part = (precision - before[1]) / (reached - before[1])
            return float(np.exp((1 - part) * np.log(before[0]) + part * np.log(size)))
        before = (size, reached)
    return None
