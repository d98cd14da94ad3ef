"""Pictures as they are sent instead of codes: shrunk, compressed, and brought back to the network's size.

OpenCV's encoders: libjpeg-turbo with tables made for the picture, libwebp, libavif. `bare_size` leaves away what both ends could
agree on beforehand: a hard-nosed engineer would.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isthmus.export.rivals import AVIF_SPEED

CODECS = ("webp", "avif", "jpeg")
_OPTIONS = {
    "jpeg": (".jpg", (cv2.IMWRITE_JPEG_OPTIMIZE, 1), cv2.IMWRITE_JPEG_QUALITY),
    "webp": (".webp", (), cv2.IMWRITE_WEBP_QUALITY),
    "avif": (".avif", (cv2.IMWRITE_AVIF_SPEED, AVIF_SPEED), cv2.IMWRITE_AVIF_QUALITY),
}


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """One way to send a picture.

    Attributes:
        codec: name.
        side: of the square picture that is sent.
        quality: 1 to 100.
    """

    codec: str
    side: int
    quality: int

    def __str__(self) -> str:
        return f"{self.codec} {self.side}px q{self.quality}"

    def encode(self, picture: np.ndarray) -> bytes:
        """Shrink and compress uint8[row, column, 3]."""
        suffix, fixed, quality = _OPTIONS[self.codec]
        small = resized(picture, self.side)
        return cv2.imencode(suffix, small, [*fixed, quality, self.quality])[1].tobytes()


def settings(codec: str, qualities: Mapping[int, Sequence[int]]) -> list[Setting]:
    """Every quality of every side."""
    return [Setting(codec, side, quality) for side, some in qualities.items() for quality in some]


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """A square picture of another size: averaged where it shrinks, bicubic where it grows."""
    if picture.shape[0] == side:
        return picture
    interpolation = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(picture, (side, side), interpolation=interpolation)


def bare_size(codec: str, data: bytes) -> int:
    """Bytes without what is the same for all pictures, or could be.

    WebP: without RIFF and chunk header. AVIF: the coded picture alone, without its boxes. JPEG: the scan alone; its tables,
    which are those of the picture, count as if they cost nothing.
    """
    if codec == "webp":
        return len(data) - 20
    if codec == "avif":
        return _box_size(data, b"mdat")
    return len(data) - (data.index(b"\xff\xda") + 2)


def _box_size(data: bytes, kind: bytes) -> int:
    """Payload of a box on the first level of an ISO base media file (ISO 14496-12, 4.2)."""
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == kind:
            return (size or len(data) - place) - 8
        if size < 8:
            break
        place += size
    raise ValueError(f"no box {kind!r}")


def band(settings: Sequence[Setting], sizes: Sequence[float], bounds: Sequence[int], bound: int) -> list[Setting]:
    """Settings whose mean bytes are at most `bound` and more than the bound before it; the last band has no end.

    >>> band([Setting("webp", 96, 10), Setting("webp", 96, 90)], [500, 9000], (700, 5000), 5000)
    [Setting(codec='webp', side=96, quality=90)]
    """
    low = max((other for other in bounds if other < bound), default=0)
    high = bound if bound < max(bounds) else float("inf")
    return [setting for setting, size in zip(settings, sizes, strict=True) if low < size <= high]
