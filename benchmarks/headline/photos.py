"""The photos that everything is trained and judged on, held as they were stored."""

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

SHAPES = ("circle", "cross", "square", "triangle")
DRAWN_SIZE = 72
"""Shorter side of a drawn picture."""
HUE_SPREAD = 14
"""Of a shape's colour, of 180: kinds overlap, so that the shape must be seen too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Photos:
    """Labelled photos in a fixed order.

    Attributes:
        files: encoded pictures, by class and then by name.
        stems: their names without folder and suffix.
        labels: int64[n].
        names: of the classes.
        official: bool[n], whether the collection itself keeps the photo for validation.
        origin: where they come from, for the page.
        suffix: of the files.
    """

    files: Sequence[bytes]
    stems: Sequence[str]
    labels: np.ndarray
    names: tuple[str, ...]
    official: np.ndarray
    origin: str
    suffix: str

    def __len__(self) -> int:
        return len(self.files)

    def pictures(self, indices: np.ndarray) -> list[np.ndarray]:
        """uint8[row, column, 3] BGR of some of them."""
        return [cv2.imdecode(np.frombuffer(self.files[index], np.uint8), cv2.IMREAD_COLOR) for index in indices]

    def write_folder(self, indices: np.ndarray, folder: Path) -> None:
        """Some of them as an image folder, one folder for each class."""
        for index in indices:
            place = folder / self.names[self.labels[index]] / f"{self.stems[index]}{self.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.write_bytes(self.files[index])


def clothing(data: Path) -> Photos:
    """All photos of clothing10: train and validation."""
    found: list[tuple[str, str, bool, bytes]] = []
    with tarfile.open(data / "clothing10" / "clothing_trainval.tar") as archive:
        for member in archive.getmembers():
            if member.name.endswith(".jpg"):
                part, name, file = member.name.split("/")[-3:]
                found.append((name, file.removesuffix(".jpg"), part != "train", archive.extractfile(member).read()))  # type: ignore[union-attr]
    return _ordered(found, "clothing10", ".jpg")


def drawn(count: int, *, seed: int = 0) -> Photos:
    """Shapes on a restless ground, each kind of about one colour: pictures for a first look that need no data."""
    random = np.random.default_rng(seed)
    found = []
    for index in range(count):
        name = SHAPES[index % len(SHAPES)]
        picture = _draw(name, random)
        found.append((name, f"{index:05}", index % 10 == 9, cv2.imencode(".png", picture)[1].tobytes()))
    return _ordered(found, "drawn shapes", ".png")


def _ordered(found: list[tuple[str, str, bool, bytes]], origin: str, suffix: str) -> Photos:
    found.sort(key=lambda one: one[:2])
    names = tuple(sorted({name for name, *_ in found}))
    return Photos(
        files=[data for *_, data in found],
        stems=[stem for _, stem, *_ in found],
        labels=np.array([names.index(name) for name, *_ in found], dtype=np.int64),
        names=names,
        official=np.array([is_kept for _, _, is_kept, _ in found]),
        origin=f"{origin}, {len(found)} photos of {len(names)} classes",
        suffix=suffix,
    )


def _draw(name: str, random: np.random.Generator) -> np.ndarray:
    height, width = DRAWN_SIZE, DRAWN_SIZE + int(random.integers(0, 16))
    ground = random.integers(60, 160, (5, 5, 3), dtype=np.uint8)
    picture = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
    hue = (SHAPES.index(name) * 180 / len(SHAPES) + random.normal(0, HUE_SPREAD)) % 180
    pure = np.uint8([[[int(hue), random.integers(100, 256), random.integers(100, 256)]]])  # type: ignore[call-overload]
    colour = tuple(map(int, cv2.cvtColor(pure, cv2.COLOR_HSV2BGR)[0, 0]))
    centre = np.array([width / 2, height / 2]) + random.uniform(-8, 8, 2)
    radius = float(random.uniform(14, 24))
    if name == "circle":
        cv2.circle(picture, tuple(centre.astype(int).tolist()), int(radius), colour, -1, cv2.LINE_AA)
        return picture
    corners = {"square": 4, "triangle": 3, "cross": 12}[name]
    angles = np.arange(corners) * 2 * np.pi / corners + random.uniform(0, 2 * np.pi)
    # Of a cross every third corner lies inside.
    reach = np.where(np.arange(corners) % 3 == 0, 0.35, 1.0) if name == "cross" else np.ones(corners)
    points = centre + radius * (reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1))
    cv2.fillPoly(picture, [points.astype(np.int32)], colour, cv2.LINE_AA)
    return picture
