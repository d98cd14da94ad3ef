"""From a camera picture to the array a network takes. One function, used by training, evaluation, head and tail.

The order is fixed: colour order, fit (resize, crop or letterbox), scale, mean, standard deviation, axis order. Everything is
numpy and OpenCV, so the same bytes go in on every side.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isthmus.contract.picture import Picture
from isthmus.errors import ConfigError

_INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
_PADDING_GREY = 114
"""Grey of the letterbox bars, as in YOLO's training code."""
_RESIZED_MAX_PIXELS = 1 << 28
"""What `crop` may make before it cuts. A picture of 1 x 8,000,000 pixels resized by its shorter side would take terabytes."""


class Preparation(BaseModel):
    """How a picture becomes a network input."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(ge=1, le=8192)
    height: int = Field(ge=1, le=8192)
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    fit: Literal["stretch", "crop", "letterbox"] = "stretch"
    """stretch: resize both sides; crop: resize the shorter side, cut the centre; letterbox: resize the longer side, pad."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "area"] = "bilinear"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    standard_deviation: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> "Preparation":
        if len(self.mean) != self.channels or len(self.standard_deviation) != self.channels:
            raise ValueError(f"mean and standard deviation need {self.channels} values for colour {self.colour!r}")
        if any(deviation <= 0 for deviation in self.standard_deviation):
            raise ValueError(f"standard deviation must be positive, got {self.standard_deviation}")
        return self

    @property
    def channels(self) -> int:
        """Channels of the prepared array."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the prepared array, with a batch axis of one."""
        if self.layout == "nchw":
            return (1, self.channels, self.height, self.width)
        return (1, self.height, self.width, self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where the picture lies in the prepared array: prepared = source * scale + offset, in pixels."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Map float[..., 2] points (x, y) of the prepared array back to source pixels."""
        mapped: np.ndarray = (points - np.array([self.offset_x, self.offset_y])) / np.array([self.scale_x, self.scale_y])
        return mapped

    def to_prepared(self, points: np.ndarray) -> np.ndarray:
        """Map float[..., 2] points (x, y) of source pixels into the prepared array."""
        mapped: np.ndarray = points * np.array([self.scale_x, self.scale_y]) + np.array([self.offset_x, self.offset_y])
        return mapped


def geometry(preparation: Preparation, width: int, height: int) -> Geometry:
    """Where a source of `width` x `height` pixels lies in the prepared array."""
    across, down = preparation.width / width, preparation.height / height
    if preparation.fit == "stretch":
        return Geometry(scale_x=across, scale_y=down, offset_x=0.0, offset_y=0.0)
    scale = max(across, down) if preparation.fit == "crop" else min(across, down)
    resized_width, resized_height = max(1, round(width * scale)), max(1, round(height * scale))
    return Geometry(
        scale_x=resized_width / width,
        scale_y=resized_height / height,
        offset_x=float((preparation.width - resized_width) // 2),
        offset_y=float((preparation.height - resized_height) // 2),
    )


def prepare(picture: Picture, preparation: Preparation) -> np.ndarray:
    """Make a network input of one picture.

    Args:
        picture: uint8[row, column, 3] in BGR order, as OpenCV reads it.
        preparation: what the bundle asks for.

    Returns:
        float32 of `preparation.shape`, contiguous.

    Raises:
        ConfigError: the picture is not uint8[row, column, 3], is empty, or is too long and narrow for `crop`.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ConfigError(f"a picture is uint8[row, column, 3] in BGR order, got {picture.dtype}{list(picture.shape)}")
    fitted = fit(picture, preparation)
    if preparation.colour == "rgb":
        fitted = cv2.cvtColor(fitted, cv2.COLOR_BGR2RGB)
    elif preparation.colour == "grey":
        fitted = cv2.cvtColor(fitted, cv2.COLOR_BGR2GRAY)[:, :, np.newaxis]
    deviation = np.asarray(preparation.standard_deviation, dtype=np.float32)
    gain = np.float32(preparation.scale) / deviation
    bias = np.asarray(preparation.mean, dtype=np.float32) / deviation
    prepared = fitted.astype(np.float32) * gain - bias
    if preparation.layout == "nchw":
        prepared = prepared.transpose(2, 0, 1)
    return np.ascontiguousarray(prepared[np.newaxis])


def fit(picture: Picture, preparation: Preparation) -> Picture:
    """Bring a picture to the preparation's size; uint8[row, column, 3], the picture itself where it already fits."""
    height, width = picture.shape[:2]
    if (height, width) == (preparation.height, preparation.width):
        return picture
    place = geometry(preparation, width, height)
    size = (max(1, round(width * place.scale_x)), max(1, round(height * place.scale_y)))
    if size[0] * size[1] > _RESIZED_MAX_PIXELS:
        raise ConfigError(
            f"a picture of {width}x{height} pixels is too long and narrow to be cropped to {preparation.width}x"
            f"{preparation.height}: resized it has {size[0] * size[1]} pixels, at most {_RESIZED_MAX_PIXELS} are made"
        )
    resized = cv2.resize(picture, size, interpolation=_INTERPOLATION[preparation.interpolation])
    if preparation.fit == "stretch":
        return resized
    left, top = int(place.offset_x), int(place.offset_y)
    if preparation.fit == "crop":
        return resized[-top : -top + preparation.height, -left : -left + preparation.width]
    canvas = np.full((preparation.height, preparation.width, 3), _PADDING_GREY, dtype=np.uint8)
    canvas[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
    return canvas
