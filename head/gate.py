"""The motion gate: drop frames in which nothing differs from the empty scene, in some 0.2 ms and without a network.

A frame is shrunk to some 80x60 grey cells, which averages most noise away, and compared with a background. First the
light is taken out: a gain and an offset are fitted to all cells that follow the background, so that a lamp or the
camera's automatic exposure moves nothing. What then differs by more than a multiple of the noise, measured in the same
frame, is foreground; single cells are ignored.

The background learns only while the gate is closed, and only from cells that agree with it, so that a thing that stops
in view is not learned away. Two slow paths keep a wrong background from holding the gate open for ever. A cell in the
foreground without a break is taken into the background after `absorb_frames`; and sooner, after `belief` times the
number of frames in which the cell was ever seen as background, because a background that was seen for three frames may
well have been a thing that has left.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ConfigError, SourceError

Reason = Literal["no background yet", "motion", "hold", "nothing moves"]

# A normal distribution has its standard deviation at 1.4826 times the median absolute deviation.
_SIGMA_PER_DEVIATION = 1.4826
# Cells within this many sigma follow the light; the others may be a thing.
_FIT_SIGMA = 3.0
# Grey levels squared. Holds the gain near the ratio of the medians where a scene has too little texture to tell a gain
# from an offset.
_GAIN_PRIOR = 25.0
_GAIN_RANGE = (0.4, 2.5)
# Grey levels. Darker cells hardly tell a gain: one level of rounding is a quarter of them.
_LIT = 4.0
# Larger frames are first thinned to about this many pixels on their longer side: averaging all of them costs milliseconds.
_THIN_TO_PIXELS = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What opens the gate and how the background learns.

    Attributes:
        cells: cells on the longer side of the shrunk picture; 4 pixels per cell at 320 pixels.
        open_share: share of foreground cells that opens the gate; 0.002 is a thing of 12 by 12 pixels of 320 by 240.
        least_step: grey levels that a cell has to differ at least; below it are compression and shadows.
        noise_factor: multiple of the noise's standard deviation that a cell has to differ; 6 all but never by chance.
        hold_frames: frames for which the gate stays open after the last motion.
        learn_rate: share of a new frame in the background; 0.05 follows daylight within a second or two.
        absorb_frames: frames without a break after which a foreground cell becomes background; 3600 is 2 min at 30 fps.
        belief: the same, as a multiple of the frames in which the cell agreed with the background.
    """

    cells: int = 80
    open_share: float = 0.002
    least_step: float = 6.0
    noise_factor: float = 6.0
    hold_frames: int = 5
    learn_rate: float = 0.05
    absorb_frames: int = 3600
    belief: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "hold_frames" else 1 if field.name in {"cells", "absorb_frames"} else 1e-6
            most = 1.0 if field.name in {"open_share", "learn_rate"} else math.inf
            if not least <= value <= most:
                raise ConfigError(f"the gate's {field.name} is {value}; it has to be {least} to {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the gate says about one frame.

    Attributes:
        open: whether the frame goes on.
        moving_share: share of cells in the foreground, 0 to 1.
        reason: why it is open or closed.
    """

    open: bool
    moving_share: float
    reason: Reason


class MotionGate:
    """Decides frame by frame; one gate belongs to one camera that does not move."""

    def __init__(self, settings: GateSettings | None = None) -> None:
        self.settings = settings or GateSettings()
        self._shape: tuple[int, ...] = ()
        self._hold = 0
        self._background = np.zeros((0, 0), np.float32)
        self._agreed = np.zeros((0, 0), np.float32)
        self._differed = np.zeros((0, 0), np.float32)

    def decide(self, image: NDArray[np.uint8]) -> Decision:
        """Compare a frame with the background and learn from it.

        Args:
            image: uint8[row, column, channel], blue, green, red; a new size starts a new background.

        Raises:
            SourceError: `image` is of another type or shape.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise SourceError(f"the frame is {image.dtype}{list(image.shape)}; it has to be uint8[row, column, 3]")
        grey = _shrink(image, self.settings.cells)
        if image.shape != self._shape:
            self._begin(image.shape, grey)
            return Decision(open=True, moving_share=0.0, reason="no background yet")
        relit, differs = self._compare(grey)
        share = cv2.countNonZero(cv2.medianBlur(differs, 3)) / differs.size
        moving = share >= self.settings.open_share
        is_open = moving or self._hold > 0
        self._hold = self.settings.hold_frames if moving else max(0, self._hold - 1)
        self._learn(grey, relit, differs.astype(bool), is_open=is_open)
        reason: Reason = "motion" if moving else "hold" if is_open else "nothing moves"
        return Decision(open=is_open, moving_share=share, reason=reason)

    def _begin(self, shape: tuple[int, ...], grey: NDArray[np.float32]) -> None:
        self._shape = shape
        self._hold = self.settings.hold_frames
        self._background = grey
        self._agreed = np.ones_like(grey)
        self._differed = np.zeros_like(grey)

    def _compare(self, grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return the background in the light of this frame, and where the frame differs from it, 0 or 1."""
        gain, offset = _fit_light(self._background[::2, ::2].ravel(), grey[::2, ::2].ravel())
        relit = np.clip(self._background * np.float32(gain) + np.float32(offset), 0, 255)
        rest = grey - relit
        threshold = max(self.settings.least_step, self.settings.noise_factor * _noise(rest))
        return relit, (np.abs(rest) > threshold).astype(np.uint8)

    def _learn(self, grey: NDArray[np.float32], relit: NDArray[np.float32], differs: NDArray[np.bool_], *, is_open: bool) -> None:
        self._differed = np.where(differs, self._differed + 1, np.float32(0))
        self._agreed += ~differs
        if not is_open:
            followed = relit + np.float32(self.settings.learn_rate) * (grey - relit)
            self._background = np.where(differs, relit, followed)
        patience = np.minimum(self._agreed * np.float32(self.settings.belief), self.settings.absorb_frames)
        absorbed = self._differed > patience
        if absorbed.any():
            # Into the background's own light, which may be older than this frame's.
            self._background[absorbed] += (grey - relit)[absorbed]
            self._agreed[absorbed] = self._differed[absorbed]
            self._differed[absorbed] = 0


def _shrink(image: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """Average the picture into float32[row, column] of grey, `cells` on the longer side."""
    height, width = image.shape[:2]
    step = max(1, max(height, width) // _THIN_TO_PIXELS)
    if step > 1:
        image = np.ascontiguousarray(image[::step, ::step])
    scale = min(1.0, cells / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _fit_light(before: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[float, float]:
    """Fit `now = gain * before + offset`, twice, without the cells that do not follow; offset in grey levels.

    Light multiplies, so the fit starts from the ratio of the two pictures: a start from their difference would take bright
    cells for things that moved.
    """
    ratio = _ratio(before, now)
    gain, offset = ratio, 0.0
    for _ in range(2):
        rest = np.abs(now - (before * np.float32(gain) + np.float32(offset)))
        sigma = max(0.5, _SIGMA_PER_DEVIATION * _median(rest))
        follows = rest < _FIT_SIGMA * sigma
        x, y = before[follows], now[follows]
        x_mean, y_mean = float(x.mean()), float(y.mean())
        x -= np.float32(x_mean)
        covariance, variance = float(x @ (y - np.float32(y_mean))) / len(x), float(x @ x) / len(x)
        gain = _clamp((covariance + _GAIN_PRIOR * ratio) / (variance + _GAIN_PRIOR))
        offset = y_mean - gain * x_mean
    return gain, offset


def _ratio(before: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """Return how much brighter the middle cell is now; of the lit cells where most are dark, and 1 where all are."""
    middle = _median(before)
    if middle >= _LIT:
        return _clamp(_median(now) / middle)
    lit = before >= _LIT
    return _clamp(_median(now[lit]) / _median(before[lit])) if lit.any() else 1.0


def _noise(rest: NDArray[np.float32]) -> float:
    """Return the standard deviation of the noise in grey levels, from neighbouring cells.

    Shadows, a changed corner or a large thing are alike in neighbours and cancel; counted as noise they would hide motion.
    """
    if rest.shape[1] < 2:
        return 0.0
    steps = np.abs(rest[::2, 1:] - rest[::2, :-1])
    return _SIGMA_PER_DEVIATION * _median(steps.ravel()) / math.sqrt(2)


def _clamp(gain: float) -> float:
    return min(max(gain, _GAIN_RANGE[0]), _GAIN_RANGE[1])


def _median(values: NDArray[np.float32]) -> float:
    """Return the upper median of float32[value]; `np.median` takes three times as long."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])
