"""In which form a process or a camera gives its pictures.

`mjpeg` is one JPEG after the other and needs no size. The others are rows of pixels without headers or gaps, by FFmpeg's names
(`yuv420` is its yuv420p, as cameras call it):

    bgr24, rgb24   3 bytes a pixel
    gray           1 byte a pixel
    yuv420         planes Y, U, V; U and V of half the width and height
    nv12           plane Y, then U and V in turns
    yuyv422        4 bytes for 2 pixels: Y U Y V
"""

import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ConfigError
from isthmus.head.picture import MAX_PIXELS

MJPEG = "mjpeg"


@dataclass(frozen=True, slots=True)
class _Layout:
    bits: int
    """Of one pixel, on average."""
    even: tuple[int, int]
    """What width and height must be multiples of."""
    conversion: int | None
    """OpenCV's code for the way to BGR; YUV is taken as BT.601 of limited range, which cameras send unless told otherwise."""


_LAYOUTS = {
    "bgr24": _Layout(24, (1, 1), None),
    "rgb24": _Layout(24, (1, 1), cv2.COLOR_RGB2BGR),
    "gray": _Layout(8, (1, 1), cv2.COLOR_GRAY2BGR),
    "yuv420": _Layout(12, (2, 2), cv2.COLOR_YUV2BGR_I420),
    "nv12": _Layout(12, (2, 2), cv2.COLOR_YUV2BGR_NV12),
    "yuyv422": _Layout(16, (2, 1), cv2.COLOR_YUV2BGR_YUYV),
}
PIXEL_FORMATS = (MJPEG, *_LAYOUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Form of the frames of a source.

    Attributes:
        pixels: one of PIXEL_FORMATS.
        size: width and height in pixels; None: as the source has them, which raw pixels cannot say.

    Raises:
        ConfigError: an unknown format, a size out of range, or one that the format does not allow.
    """

    pixels: str = MJPEG
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.pixels not in PIXEL_FORMATS:
            raise ConfigError(f"the frame format {self.pixels!r} is unknown; use one of {', '.join(PIXEL_FORMATS)}")
        if self.size is None:
            return
        width, height = self.size
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise ConfigError(f"the frame size is {width}x{height}; it needs both sides above 0 and at most {MAX_PIXELS} pixels")
        steps = (1, 1) if self.pixels == MJPEG else _LAYOUTS[self.pixels].even
        if width % steps[0] or height % steps[1]:
            raise ConfigError(f"{self.pixels} frames have even sides; {width}x{height} has an odd one")

    @property
    def frame_bytes(self) -> int:
        """Size of one raw frame.

        Raises:
            ConfigError: raw pixels without a size.
        """
        if self.size is None:
            raise ConfigError(f"{self.pixels} frames do not say how large they are; give --frame-size, as 640x480")
        width, height = self.size
        return width * height * _LAYOUTS[self.pixels].bits // 8

    def decode(self, raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn raw pixels into a picture.

        Args:
            raw: uint8[frame_bytes].

        Returns:
            uint8[row, column, channel], blue, green, red; for bgr24 a view of `raw`.
        """
        assert self.size is not None
        width, height = self.size
        layout = _LAYOUTS[self.pixels]
        # Chroma planes lie below the picture, in half as many rows again; the others hold whole bytes a pixel.
        shape = (height * 3 // 2, width, 1) if layout.bits == 12 else (height, width, layout.bits // 8)
        if layout.conversion is None:
            return raw.reshape(shape)
        return cv2.cvtColor(raw.reshape(shape), layout.conversion).astype(np.uint8, copy=False)


def parse_size(text: str) -> tuple[int, int]:
    """Read `640x480`.

    >>> parse_size("640x480")
    (640, 480)

    Raises:
        ConfigError: it is not two whole numbers with an x between them.
    """
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text.strip().lower())
    if not found:
        raise ConfigError(f"the frame size {text!r} is not WIDTHxHEIGHT, as 640x480")
    return int(found[1]), int(found[2])
