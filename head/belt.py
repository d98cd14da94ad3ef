"""A synthetic camera that looks down on a conveyor belt: real handwritten digits pass, one at a time, with long gaps.

It stands in for a camera wherever truth is needed for every frame. The camera does not move and the belt's surface is drawn
still; what changes is sensor noise on every frame, a slow drift of the light, now and then a step of the light, and the digits.
Everything is drawn from the seed before the first frame, so any frame can be rendered at any time, in any order, and two belts
with equal arguments give equal bytes.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus.errors import SourceError
from isthmus.head import scenery

# From this share of its ink inside the picture a digit counts as seen; with less of it even people guess.
LABEL_SHARE = 0.6
SPRITE_SIDE = 8

# In frames, drawn evenly: some dozen to cross, several times that in between, little before the first one.
PASSAGE_FRAMES = (24, 56)
GAP_FRAMES = (80, 400)
FIRST_GAP_FRAMES = (20, 60)
# Side of the drawn digit as a share of the picture's height: 48 to 88 pixels of 240.
SCALE = (0.2, 0.367)
ROTATION_DEGREES = 12.0
# How opaque the ink is.
CONTRAST = (0.6, 1.0)

# A day at 30 frames per second; the script takes some ten bytes per frame.
MAX_FRAMES = 2_600_000
# Two thousand sprites need 130 kB; what declares far more than any set of sprites is not unpacked.
MAX_FILE_BYTES = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What the camera sees in one frame.

    Attributes:
        image: uint8[row, column, channel], blue, green, red; the caller's own.
        label: the digit, when at least `LABEL_SHARE` of it is inside the picture; else None.
        visible_share: share of the digit's ink inside the picture, 0 when there is none.
    """

    image: NDArray[np.uint8]
    label: int | None
    visible_share: float

    @property
    def edge(self) -> bool:
        """Whether a digit is entering or leaving, neither seen nor absent; measurements leave such frames out."""
        return self.label is None and self.visible_share > 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Passage:
    """One digit crossing: `turn` maps sprite pixels (column, row) to picture pixels around the digit's centre."""

    start: int
    label: int
    ink: NDArray[np.uint8]
    turn: NDArray[np.float64]
    colour: NDArray[np.float32]
    contrast: float
    centres: NDArray[np.float64]
    row: float
    reach: int


class Belt:
    """A deterministic sequence of frames.

    Args:
        sprites: uint8[sprite, 8, 8], ink from 0 to 16 or from 0 to 255.
        labels: uint8[sprite], the digit that each sprite shows.
        seed: of everything that is drawn.
        frames: length of the sequence.
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Raises:
        SourceError: an array has another shape or type, or a number is out of range.
    """

    def __init__(
        self,
        sprites: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        *,
        seed: int,
        frames: int,
        width: int = 320,
        height: int = 240,
    ) -> None:
        _check_sprites(sprites, labels)
        _check_numbers(seed=seed, frames=frames, width=width, height=height)
        self.sprites = sprites
        self.labels = labels
        self.seed = seed
        self.frames = frames
        self.width = width
        self.height = height
        random = np.random.default_rng(seed)
        self._surface = scenery.draw_surface(random, width, height)
        self._noise = scenery.draw_noise(random, width, height)
        # The digits set counts ink from 0 to 16.
        self._ink = sprites if sprites.max() > 16 else np.rint(sprites * (255 / 16)).astype(np.uint8)
        self._light = scenery.draw_light(random, frames)
        self._leftwards = bool(random.integers(2))
        self._passage_of = np.full(frames, -1, np.int32)
        self._share_of = np.zeros(frames, np.float32)
        self._passages: list[_Passage] = self._write_script(random)

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[View]:
        return (self.frame(index) for index in range(self.frames))

    @property
    def visible_shares(self) -> NDArray[np.float32]:
        """float32[frame], the share of a digit's ink in the picture; a copy, made without rendering."""
        return self._share_of.copy()

    def label(self, index: int) -> int | None:
        """Return the digit to be seen in frame `index`, without rendering it."""
        return self._passages[self._passage_of[index]].label if self._share_of[index] >= LABEL_SHARE else None

    def frame(self, index: int) -> View:
        """Render frame `index`.

        Raises:
            IndexError: `index` is negative or not below the number of frames.
        """
        if not 0 <= index < self.frames:
            raise IndexError(f"frame {index} of a belt with {self.frames} frames")
        scene = self._surface.copy()
        share = float(self._share_of[index])
        if share > 0.0:
            self._draw_digit(scene, self._passages[self._passage_of[index]], index)
        image = self._expose(scene, index)
        return View(image=image, label=self.label(index), visible_share=share)

    def _write_script(self, random: np.random.Generator) -> list[_Passage]:
        """Draw passages until the sequence is full; fills the share and the passage of every frame."""
        passages: list[_Passage] = []
        start = int(random.integers(*FIRST_GAP_FRAMES))
        while start < self.frames:
            passage = self._draw_passage(random, start)
            count = min(len(passage.centres), self.frames - start)
            self._passage_of[start : start + count] = len(passages)
            self._share_of[start : start + count] = self._visible_share(passage)[:count]
            passages.append(passage)
            start += len(passage.centres) + int(random.integers(*GAP_FRAMES))
        return passages

    def _draw_passage(self, random: np.random.Generator, start: int) -> _Passage:
        chosen = int(random.integers(len(self.sprites)))
        side = self.height * random.uniform(*SCALE)
        angle = np.deg2rad(random.uniform(-ROTATION_DEGREES, ROTATION_DEGREES))
        pixel = side / SPRITE_SIDE
        turn = pixel * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # Half the diagonal, with a sprite pixel more for the support of the interpolation.
        reach = int(np.ceil((side / 2 + pixel) * np.sqrt(2)))
        centres = np.linspace(-reach, self.width + reach, int(random.integers(*PASSAGE_FRAMES)))
        return _Passage(
            start=start,
            label=int(self.labels[chosen]),
            ink=self._ink[chosen],
            turn=turn,
            colour=scenery.draw_colour(random),
            contrast=float(random.uniform(*CONTRAST)),
            centres=centres[::-1] if self._leftwards else centres,
            row=float(random.uniform(reach, max(reach, self.height - reach))),
            reach=reach,
        )

    def _visible_share(self, passage: _Passage) -> NDArray[np.float64]:
        """float64[frame of the passage]; digits cross from side to side, so only columns matter."""
        offset = np.arange(SPRITE_SIDE) - (SPRITE_SIDE - 1) / 2
        columns = passage.turn[0, 0] * offset[None, :] + passage.turn[0, 1] * offset[:, None]
        # Interpolation spreads a sprite pixel over one pixel to either side.
        half = float(np.abs(passage.turn[0]).sum())
        at = passage.centres[:, None, None] + columns
        inside = np.minimum(at + half, self.width) - np.maximum(at - half, 0)
        ink = passage.ink / max(1, int(passage.ink.sum()))
        shares: NDArray[np.float64] = (np.clip(inside / (2 * half), 0.0, 1.0) * ink).sum(axis=(1, 2))
        return shares

    def _draw_digit(self, scene: NDArray[np.uint8], passage: _Passage, index: int) -> None:
        """Blend the digit into `scene`, in place, within the square that it can reach."""
        column = passage.centres[index - passage.start]
        left, right = int(max(0, column - passage.reach)), int(min(self.width, column + passage.reach + 1))
        top, bottom = int(max(0, passage.row - passage.reach)), int(min(self.height, passage.row + passage.reach + 1))
        if left >= right or top >= bottom:
            return
        middle = (SPRITE_SIDE - 1) / 2
        shift = np.array([column - left, passage.row - top]) - passage.turn @ np.array([middle, middle])
        ink = cv2.warpAffine(
            passage.ink,
            np.column_stack([passage.turn, shift]),
            (right - left, bottom - top),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        opacity = (ink.astype(np.float32) * (passage.contrast / 255.0))[:, :, None]
        window = scene[top:bottom, left:right]
        window[:] = (window + opacity * (passage.colour - window)).astype(np.uint8)

    def _expose(self, scene: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Apply light and noise: the noise of a frame is a window into one large field, at a place of its own."""
        random = np.random.default_rng((self.seed, index))
        row = int(random.integers(self._noise.shape[0] - self.height))
        column = int(random.integers(self._noise.shape[1] - self.width))
        noise = self._noise[row : row + self.height, column : column + self.width]
        image = cv2.addWeighted(scene, float(self._light[index]), noise, 1.0, -128.0)
        return image.astype(np.uint8, copy=False)

    def save(self, path: Path | str) -> None:
        """Write what the belt is made from, not its frames: some 70 bytes per sprite."""
        with Path(path).open("wb") as file:
            np.savez(
                file,
                sprites=self.sprites,
                labels=self.labels,
                seed=np.int64(self.seed),
                frames=np.int64(self.frames),
                width=np.int64(self.width),
                height=np.int64(self.height),
            )

    @classmethod
    def load(cls, path: Path | str) -> "Belt":
        """Read what `save` wrote; a file without width and height has 320x240.

        Raises:
            SourceError: the file is missing, is no npz, is damaged, lacks an array, or holds values out of range.
        """
        arrays = _load_arrays(Path(path))
        missing = {"sprites", "labels", "seed", "frames"} - arrays.keys()
        if missing:
            raise SourceError(f"{path} holds no {', '.join(sorted(missing))}; write it with Belt.save")
        numbers = {name: _scalar(arrays[name], name) for name in ("seed", "frames", "width", "height") if name in arrays}
        try:
            return cls(arrays["sprites"], arrays["labels"], **numbers)
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error


def _load_arrays(path: Path) -> dict[str, NDArray[np.uint8]]:
    try:
        with zipfile.ZipFile(path) as archive:
            size_bytes = sum(entry.file_size for entry in archive.infolist())
        if size_bytes > MAX_FILE_BYTES:
            raise SourceError(f"{path} unpacks to {size_bytes} bytes; a belt may have {MAX_FILE_BYTES}")
        with np.load(path, allow_pickle=False) as archive_arrays:
            return {name: archive_arrays[name] for name in archive_arrays.files}
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist; give the npz that Belt.save wrote") from error
    except (OSError, ValueError, KeyError, EOFError, MemoryError, SyntaxError, NotImplementedError) as error:
        raise SourceError(f"{path} is damaged: {error}; write it again with Belt.save") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise SourceError(f"{path} is no sound npz: {error}; write it again with Belt.save") from error


def _scalar(array: NDArray[np.uint8], name: str) -> int:
    if array.shape != () or array.dtype.kind not in "iu":
        raise SourceError(f"{name} is {array.dtype}{list(array.shape)}; it has to be one whole number")
    return int(array)


def _check_sprites(sprites: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    if sprites.dtype != np.uint8 or sprites.ndim != 3 or sprites.shape[1:] != (SPRITE_SIDE, SPRITE_SIDE):
        raise SourceError(f"sprites are {sprites.dtype}{list(sprites.shape)}; they have to be uint8[sprite, 8, 8]")
    if labels.dtype != np.uint8 or labels.shape != sprites.shape[:1] or not len(labels):
        raise SourceError(f"labels are {labels.dtype}{list(labels.shape)}; they have to be uint8[{len(sprites)}], one or more")


def _check_numbers(*, seed: int, frames: int, width: int, height: int) -> None:
    if seed < 0:
        raise SourceError(f"the seed is {seed}; it has to be 0 or more")
    if not 1 <= frames <= MAX_FRAMES:
        raise SourceError(f"the belt has {frames} frames; it has to be 1 to {MAX_FRAMES}")
    if not (64 <= width <= 4096 and 64 <= height <= 4096):
        raise SourceError(f"the picture has {width}x{height} pixels; each side has to be 64 to 4096")
