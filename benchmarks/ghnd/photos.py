"""Pictures to distil on: mosaics of photographs that are not the test's.

The photographs at hand are small (short side 224 to 256) and show one thing each; blown up to the network's input they would
be blurred as no camera's are. Put together at most at their own size, four to a picture and sometimes one or nine, they have
edges and things of many sizes. What the unsplit network sees in them is all that is learned from.
"""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

SIDE = 416
GRIDS = (1, 2, 2, 2, 3)
"""Tiles in each direction, drawn evenly."""
GREY = 114
"""Of the network's letterbox."""
LARGEST = 1.15
"""Times its own size that a photograph may be shown at, but where it fills the picture alone."""


def in_tar(path: Path, under: str = "") -> list[np.ndarray]:
    """uint8[row, column, 3] BGR of every JPEG in an archive whose name begins with `under`, in order of their names."""
    with tarfile.open(path) as archive:
        names = sorted(name for name in archive.getnames() if name.startswith(under) and name.lower().endswith((".jpg", ".jpeg")))
        return [cv2.imdecode(np.frombuffer(archive.extractfile(name).read(), np.uint8), cv2.IMREAD_COLOR) for name in names]


def film_frames(path: Path, every: int) -> list[np.ndarray]:
    """Each `every`-th frame of a film, uint8[row, column, 3] BGR."""
    film = cv2.VideoCapture(str(path))
    frames = []
    while film.grab():
        if int(film.get(cv2.CAP_PROP_POS_FRAMES)) % every == 1:
            frames.append(film.retrieve()[1])
    film.release()
    return frames


def mosaics(photos: Sequence[np.ndarray], count: int, *, seed: int) -> Iterator[np.ndarray]:
    """Yield uint8[416, 416, 3] pictures; every photograph is used about equally often."""
    random = np.random.default_rng(seed)
    order: list[int] = []
    for _ in range(count):
        cells = int(random.choice(GRIDS))
        while len(order) < cells * cells:
            order.extend(random.permutation(len(photos)).tolist())
        tiles = [photos[order.pop()] for _ in range(cells * cells)]
        yield _mosaic(tiles, cells, random)


def _mosaic(tiles: Sequence[np.ndarray], cells: int, random: np.random.Generator) -> np.ndarray:
    picture = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    edges = [_edges(cells, random) for _ in range(2)]
    for place, tile in enumerate(tiles):
        row, column = divmod(place, cells)
        top, bottom = edges[0][row : row + 2]
        left, right = edges[1][column : column + 2]
        shown = _shown(tile, bottom - top, right - left, random)
        picture[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return picture


def _edges(cells: int, random: np.random.Generator) -> list[int]:
    """Where tiles begin and end; the lines between them wander by up to a quarter of a tile."""
    even = np.linspace(0, SIDE, cells + 1)
    even[1:-1] += random.uniform(-0.25, 0.25, cells - 1) * SIDE / cells
    return even.round().astype(int).tolist()


def _shown(photo: np.ndarray, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """A part of a photograph, mirrored or not, that fills the tile or leaves grey beside it."""
    rows, columns = photo.shape[:2]
    fills = max(height / rows, width / columns)
    contains = min(height / rows, width / columns)
    scale = random.uniform(contains, max(contains, min(fills * 1.3, max(LARGEST, fills if fills * rows > SIDE * 0.6 else 0))))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(photo, size, interpolation=interpolation)
    top = int(random.integers(0, max(0, size[1] - height) + 1))
    left = int(random.integers(0, max(0, size[0] - width) + 1))
    part = scaled[top : top + height, left : left + width]
    return part[:, ::-1] if random.random() < 0.5 else part
