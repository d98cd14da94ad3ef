"""Where frames come from: a folder of pictures, one picture, a video, a camera, or a synthetic belt.

    frames/               a folder: its pictures in natural order (frame2 before frame10)
    frame.jpg             one picture: JPEG, PNG, WebP or BMP
    road.mp4              a video
    camera:0, /dev/video0 a camera
    belt:demo.npz         a conveyor belt with truth for every frame

A source hands out frames as fast as it has them. `Paced` releases them on a schedule, as a camera would.
"""

import dataclasses
import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from isthmus.errors import ConfigError, NotBuiltYet, SourceError
from isthmus.head.belt import Belt
from isthmus.head.capture import CameraSource, VideoSource
from isthmus.head.frame import Frame, Source
from isthmus.head.picture import PICTURE_SUFFIXES, read_picture

__all__ = ["BeltSource", "CameraSource", "Paced", "PictureSource", "Source", "VideoSource", "open_source"]

_log = structlog.get_logger()

_CAMERA = re.compile(r"(?:camera:|/dev/video)(\d{1,3})")
_KIND = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_KINDS_TO_COME = frozenset({"rtsp", "rtsps", "cmd", "gst"})
_KINDS_BUILT = "a folder, a picture, a video, camera:N, /dev/videoN or belt:FILE.npz"


def open_source(reference: str, *, fps: float | None = None, loop: bool = False) -> Source:
    """Open what `reference` names.

    Args:
        reference: a path, or `kind:rest` as in the docstring of this module.
        fps: release frames at this pace; a camera is asked for this rate instead. None: as fast as they come.
        loop: start over at the end; a camera has none.

    Raises:
        SourceError: nothing is there, it cannot be read, or the kind is unknown.
        NotBuiltYet: the kind comes with a later version.
        ConfigError: `fps` is not a positive number.
    """
    if fps is not None:
        _check_fps(fps)
    if camera := _CAMERA.fullmatch(reference):
        return CameraSource(int(camera[1]), fps=fps)
    source = _open_file(reference, loop=loop)
    return source if fps is None else Paced(source, fps)


def _open_file(reference: str, *, loop: bool) -> Source:
    kind = _KIND.match(reference)
    if kind and kind[1] in _KINDS_TO_COME:
        raise NotBuiltYet(f"{kind[1]} sources are not built yet; give {_KINDS_BUILT}")
    if kind and kind[1] == "belt":
        path = Path(reference.removeprefix("belt:"))
        return BeltSource(Belt.load(path), loop=loop, description=f"belt {path}")
    path = Path(reference)
    if not reference or not path.exists():
        if kind:
            raise SourceError(f"{reference} is of the unknown kind {kind[1]!r}; give {_KINDS_BUILT}")
        raise SourceError(f"{reference!r} does not exist; give {_KINDS_BUILT}")
    if path.is_dir():
        return PictureSource(_pictures_in(path), loop=loop, description=f"folder {path}")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return PictureSource([path], loop=loop, description=f"picture {path}")
    return VideoSource(path, loop=loop)


def _pictures_in(folder: Path) -> list[Path]:
    try:
        pictures = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    except OSError as error:
        raise SourceError(f"folder {folder} cannot be read: {error.strerror}") from error
    if not pictures:
        raise SourceError(f"folder {folder} holds no picture; it needs {' '.join(sorted(PICTURE_SUFFIXES))}")
    return sorted(pictures, key=_natural_order)


def _natural_order(path: Path) -> tuple[list[str | int], str]:
    """Order numbers in names by value; parts alternate between text and number, so they always compare."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name


class PictureSource(Source):
    """Picture files, one after the other; what cannot be read is logged, counted and skipped."""

    def __init__(self, files: Sequence[Path], *, loop: bool = False, description: str) -> None:
        self.length = None if loop else len(files)
        self.description = description
        self._files = files
        self._loop = loop
        self._next = 0
        self._sequence = 0

    def read(self) -> Frame | None:
        """Return the next picture that can be read, or None at the end.

        Raises:
            SourceError: not one of the pictures can be read.
        """
        while self._next < len(self._files) or self._start_over():
            path = self._files[self._next]
            self._next += 1
            try:
                image = read_picture(path)
            except SourceError as error:
                self.unreadable += 1
                self._fail_if_nothing_is_left(error)
                _log.warning("picture skipped", name=path.name, reason=str(error))
                continue
            self._sequence += 1
            return Frame(sequence=self._sequence - 1, image=image, captured_s=time.monotonic(), name=path.name)
        return None

    def _start_over(self) -> bool:
        self._next = 0 if self._loop else self._next
        return self._loop

    def _fail_if_nothing_is_left(self, error: SourceError) -> None:
        if self._sequence == 0 and self.unreadable == len(self._files):
            raise SourceError(f"{self.description}: nothing can be read; {error}") from error


class BeltSource(Source):
    """A synthetic belt; frames in which a digit is only partly visible come without truth."""

    def __init__(self, belt: Belt, *, loop: bool = False, description: str = "belt") -> None:
        self.length = None if loop else len(belt)
        self.description = description
        self._belt = belt
        self._loop = loop
        self._sequence = 0

    def read(self) -> Frame | None:
        """Render the next frame, or return None at the end."""
        if self._sequence >= len(self._belt) and not self._loop:
            return None
        view = self._belt.frame(self._sequence % len(self._belt))
        self._sequence += 1
        return Frame(
            sequence=self._sequence - 1,
            image=view.image,
            captured_s=time.monotonic(),
            label=view.label,
            truth_known=not view.edge,
        )


class Paced(Source):
    """Another source, released at `fps` frames per second.

    Frame k is due k/fps seconds after the first one. A frame that is asked for late is released at once and still
    bears the time it was due, so that latency counts from when the world would have shown it, not from when a slow
    reader got to it.

    Args:
        source: closed together with this one.
        fps: frames per second.
        clock: seconds that only grow.
        sleep: waits for a number of seconds.

    Raises:
        ConfigError: `fps` is not a positive number.
    """

    def __init__(
        self,
        source: Source,
        fps: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.fps = _check_fps(fps)
        self.length = source.length
        self.description = source.description
        self._source = source
        self._period_s = 1.0 / fps
        self._clock = clock
        self._sleep = sleep
        self._start_s: float | None = None
        self._released = 0

    def read(self) -> Frame | None:
        """Return the next frame when it is due, or None at the end."""
        frame = self._source.read()
        self.unreadable = self._source.unreadable
        if frame is None:
            return None
        if self._start_s is None:
            self._start_s = self._clock()
        due_s = self._start_s + self._released * self._period_s
        self._released += 1
        if (wait_s := due_s - self._clock()) > 0:
            self._sleep(wait_s)
        return dataclasses.replace(frame, captured_s=due_s)

    def close(self) -> None:
        """Close the source behind this one."""
        self._source.close()


def _check_fps(fps: float) -> float:
    if not (math.isfinite(fps) and fps > 0):
        raise ConfigError(f"the frame rate is {fps}; it has to be a positive number of frames per second")
    return fps
