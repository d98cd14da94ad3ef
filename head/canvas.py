"""Where annotated pictures end up: a video file, or a folder of pictures."""

import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np

from isthmus.contract.picture import Picture, encode_picture
from isthmus.errors import ConfigError, DeviceError
from isthmus.head.record import Record

CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""What every build of OpenCV can write and players play; H.264 encoders are missing from its packages."""
FPS_WITHOUT_CLOCK = 10.0
"""For sources that state no rate, as a folder of pictures."""
FREE_BYTES_MIN = 4 << 20
"""OpenCV does not say that a write failed, so a disk counts as full before it is: a video needs room for its index."""
JPEG_QUALITY = 90


class VideoFile:
    """A video of the size of its first picture; later ones of another size are fitted into it with black bars.

    Args:
        path: a file ending in .mp4, .mkv or .avi; one that exists is replaced with the first frame.
        fps: frames per second.

    Raises:
        ConfigError: another ending, or the file cannot be written.
    """

    def __init__(self, path: str, fps: float | None) -> None:
        self.name = f"video:{path}"
        self._path = Path(path)
        self._fps = fps or FPS_WITHOUT_CLOCK
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0
        if self._path.suffix.lower() not in CODECS:
            raise ConfigError(f"sink {self.name}: the ending says what video it is; write {', '.join(CODECS)}")
        self._was_there = self._path.exists()
        try:
            self._path.open("ab").close()
        except OSError as error:
            raise ConfigError(f"sink {self.name} cannot be opened: {error.strerror}") from error

    def put(self, picture: Picture, record: Record) -> None:
        """Add a frame.

        Raises:
            DeviceError: the disk is full, or this build of OpenCV cannot write such a video.
        """
        del record
        if self._writer is None:
            self._writer = self._open(picture)
        if self._written % max(1, round(self._fps)) == 0 and shutil.disk_usage(self._path.parent).free < FREE_BYTES_MIN:
            raise DeviceError(f"sink {self.name} cannot be written: the disk is full; free space there")
        self._writer.write(_sized(picture, self._size))
        self._written += 1

    def close(self) -> None:
        """Write the index; without frames what was there before stays.

        Raises:
            DeviceError: the file does not hold what was written.
        """
        if self._writer is None:
            if not self._was_there:
                self._path.unlink(missing_ok=True)
            return
        self._writer.release()
        finished = cv2.VideoCapture(os.fspath(self._path))
        held = int(finished.get(cv2.CAP_PROP_FRAME_COUNT)) if finished.isOpened() else 0
        finished.release()
        if held < self._written:
            raise DeviceError(f"sink {self.name} holds {held} of {self._written} frames; is the disk full?")

    def _open(self, picture: Picture) -> cv2.VideoWriter:
        height, width = picture.shape[:2]
        # Colour is stored for squares of four pixels; an odd row or column would be cut off or refused.
        self._size = (width + width % 2, height + height % 2)
        code = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        writer = cv2.VideoWriter(os.fspath(self._path), code, self._fps, self._size)
        if not writer.isOpened():
            raise DeviceError(
                f"sink {self.name}: this build of OpenCV cannot write {self._size[0]}x{self._size[1]} pixels; try another ending"
            )
        return writer


def _sized(picture: Picture, size: tuple[int, int]) -> Picture:
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    scale = min(size[0] / width, size[1] / height)
    if scale < 1 or size[0] - width > 1 or size[1] - height > 1:
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[top : top + height, left : left + width] = picture
    return canvas


class PictureFolder:
    """A JPEG for each frame, named by its number and its name in the source.

    Args:
        path: a folder, made if it does not exist; pictures of an earlier run with the same names are replaced.

    Raises:
        ConfigError: it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self.name = f"images:{path}"
        self._folder = Path(path)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"sink {self.name} cannot be opened: {error.strerror}") from error

    def put(self, picture: Picture, record: Record) -> None:
        """Write a picture.

        Raises:
            DeviceError: the disk is full or gone.
        """
        stem = re.sub(r"[^\w.-]", "-", Path(record.name).stem)[:100]
        path = self._folder / f"{record.sequence:06d}{'-' + stem if stem else ''}.jpg"
        try:
            path.write_bytes(encode_picture(picture, "jpeg", JPEG_QUALITY))
        except OSError as error:
            raise DeviceError(f"sink {self.name} cannot be written: {error.strerror}; free space there") from error

    def close(self) -> None:
        """Nothing to finish."""
