"""Photos and films that the benchmark works on, out of the folder that ISTHMUS_DATA names.

A film is seen twice: by a fixed camera, and through a window of 3/5 of its size that wanders over it. The wandering window stands
for a moving camera: everything in the picture moves, as when a camera pans; parallax and motion blur it has not.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from isthmus.export.samples import Samples

FILMS = {
    "person": ("one-by-one-person-detection.mp4", 150),
    "bottle": ("bottle-detection.mp4", 0),
    "road": ("bgs_video.avi", 0),
}
"""File, and the first frame that is taken."""
WINDOW = 0.6
"""Sides of the wandering window over those of the film."""
PERIODS = (90.0, 130.0)
"""Frames in which the window comes back, across and down: at most 1.5% of the film's width from frame to frame."""


def clothing(data: Path, part: str, count: int) -> Samples:
    """`count` photos of clothes, evenly out of "train" or "validation"; uint8[row, column, 3] BGR."""
    with tarfile.open(data / "clothing10" / "clothing_trainval.tar") as archive:
        members = sorted((one for one in archive.getmembers() if f"{part}/" in one.name and one.name.endswith(".jpg")), key=str)
        chosen = [members[index] for index in np.linspace(0, len(members) - 1, min(count, len(members))).astype(int)]
        pictures = [_decoded(archive.extractfile(one).read()) for one in chosen]  # type: ignore[union-attr]
    return Samples(pictures=pictures, labels=None, names=(), origin=f"clothing10 {part}")


def cifar(data: Path, file: str, count: int) -> Samples:
    """The first `count` labelled pictures of CIFAR-10."""
    with np.load(data / "cifar10" / file, allow_pickle=False) as arrays:
        stream, offsets, labels = arrays["jpeg"], arrays["offsets"], arrays["labels"]
    pictures = [_decoded(stream[offsets[index] : offsets[index + 1]].tobytes()) for index in range(count)]
    names = tuple(map(str, range(10)))
    return Samples(pictures=pictures, labels=labels[:count].astype(np.int64), names=names, origin=f"cifar10 {file}")


def films(data: Path, count: int) -> dict[str, list[np.ndarray]]:
    """`count` frames of each film, "NAME fixed" and "NAME moving"."""
    found: dict[str, list[np.ndarray]] = {}
    for name, (file, first) in FILMS.items():
        frames = list(_frames(data / "video" / file, first, count))
        found[f"{name} fixed"] = frames
        found[f"{name} moving"] = [_window(frame, index) for index, frame in enumerate(frames)]
    return found


def _decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _frames(path: Path, first: int, count: int) -> Iterator[np.ndarray]:
    film = cv2.VideoCapture(str(path))
    for index in range(first + count):
        there, frame = film.read()
        if not there:
            return
        if index >= first:
            yield frame


def _window(frame: np.ndarray, index: int) -> np.ndarray:
    starts = []
    sizes = []
    for side, period in zip(frame.shape[:2], PERIODS, strict=True):
        room = side * (1 - WINDOW)
        starts.append(round(room * (0.5 + 0.5 * np.sin(2 * np.pi * index / period))))
        sizes.append(round(side * WINDOW))
    (top, left), (rows, columns) = starts, sizes
    return np.ascontiguousarray(frame[top : top + rows, left : left + columns])
