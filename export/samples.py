"""Labelled pictures for training, calibration and evaluation.

    FOLDER/<class>/<picture>      an image folder; without class folders the pictures are unlabelled
    FILE.npz                      arrays `images` uint8[n, row, column, 3] in RGB order, and optionally `labels` int[n]
    FILE.json                     true boxes as COCO's, see `annotations`, with the pictures beside it

For training, pictures are kept at the size of the network's input in uint8, with what a crop would cut away; the rest of the
preparation is arithmetic on the batch, so training sees just what `contract.prepare` makes on the device. For evaluation they
are kept as they are, for the rivals that send pictures.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import structlog

from isthmus.contract.prepare import Preparation, fit, geometry, prepare
from isthmus.errors import ExportError
from isthmus.export import annotations
from isthmus.export.annotations import Truth

log = structlog.get_logger()

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MARGIN_MAX = 2
"""Times the network's input that a picture is kept at, each side: a panorama would fill the memory with what is seldom seen."""
MEMORY_MAX_BYTES = 8 << 30
"""Pictures are held in memory; above this the reader asks for fewer or smaller ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Pictures and their classes.

    Attributes:
        pictures: each uint8[row, column, 3] BGR.
        labels: int64[n], or None where they are not known.
        names: class names, empty where there are no labels and no boxes.
        origin: where they come from, for the training record.
        truth: boxes that are to be found, in pixels of each picture as it was read; None where they are not known.
    """

    pictures: Sequence[np.ndarray]
    labels: np.ndarray | None
    names: tuple[str, ...]
    origin: str
    truth: tuple[Truth, ...] | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def part(self, indices: np.ndarray) -> "Samples":
        """The samples at `indices`."""
        labels = None if self.labels is None else self.labels[indices]
        truth = None if self.truth is None else tuple(self.truth[index] for index in indices)
        return replace(self, pictures=[self.pictures[index] for index in indices], labels=labels, truth=truth)

    def classes(self, known: Sequence[str], count: int) -> np.ndarray | None:
        """Labels as indices of a network's class scores.

        Args:
            known: names of the network's classes; empty where they are not known.
            count: of its class scores.

        Returns:
            int64[n]; None where there are no labels, or where it is unclear which score is whose.
        """
        if self.labels is None:
            return None
        if known and set(self.names) <= set(known):
            places = np.array([list(known).index(name) for name in self.names], dtype=np.int64)
            return np.take(places, self.labels)
        numbered = all(name == str(index) for index, name in enumerate(self.names))
        fits = len(self.names) <= count if numbered else len(self.names) == count and not known
        return self.labels if fits else None

    def split(self, share: float, *, seed: int) -> tuple["Samples", "Samples"]:
        """Two disjoint parts, the second with about `share` of the samples, drawn at random and the same for one seed."""
        order = np.random.default_rng(seed).permutation(len(self))
        second = max(1, round(len(self) * share))
        return self.part(np.sort(order[second:])), self.part(np.sort(order[:second]))


def prepared(pictures: Sequence[np.ndarray], preparation: Preparation) -> np.ndarray:
    """float32[n, ...] network input of pictures."""
    return np.concatenate([prepare(picture, preparation) for picture in pictures])


def sized(picture: np.ndarray, preparation: Preparation) -> np.ndarray:
    """A picture at the size of the network's input; what a crop cuts is kept, up to as much again on each axis.

    `fit` makes of the result what it would make of the picture: views for training find more in the margin.
    """
    if preparation.fit != "crop":
        return fit(picture, preparation)
    height, width = picture.shape[:2]
    place = geometry(preparation, width, height)
    size = {"width": max(1, round(width * place.scale_x)), "height": max(1, round(height * place.scale_y))}
    if size["width"] > MARGIN_MAX * preparation.width or size["height"] > MARGIN_MAX * preparation.height:
        return fit(picture, preparation)
    return fit(picture, preparation.model_copy(update={**size, "fit": "stretch"}))


def batches(samples: Samples, preparation: Preparation, size: int) -> Iterator[np.ndarray]:
    """Prepared batches in order."""
    for start in range(0, len(samples), size):
        yield prepared(samples.pictures[start : start + size], preparation)


def read(path: str | Path, preparation: Preparation | None = None) -> Samples:
    """Read samples.

    Args:
        path: an image folder, an npz file, or a file of annotations as COCO's.
        preparation: pictures are brought to its size, see `sized`, and true boxes are left out; None keeps them as they are.

    Raises:
        ExportError: nothing there, nothing readable, or arrays of another kind.
    """
    place = Path(path)
    if place.is_dir():
        try:
            return _read_folder(place, preparation)
        except OSError as error:
            raise ExportError(f"{place} cannot be read: {error.strerror}") from error
    if place.suffix == ".npz":
        return _read_npz(place, preparation)
    check_place(place)
    if place.suffix == ".json":
        return _read_annotated(place, preparation)
    raise ExportError(f"{place} is not a folder of pictures, no npz file and no .json of annotations")


def check_place(place: Path) -> None:
    """Refuse a path where nothing is, before anything else is done with it.

    Raises:
        ExportError: nothing is there.
    """
    if not place.exists():
        raise ExportError(
            f"there are no pictures at {place}; give a folder with one folder of pictures for each class, or an npz file"
        )


def _read_folder(folder: Path, preparation: Preparation | None) -> Samples:
    classes = sorted(child for child in folder.iterdir() if child.is_dir() and _pictures_in(child))
    groups = [(index, files) for index, child in enumerate(classes) for files in [_pictures_in(child)]]
    if not groups:
        groups = [(0, _pictures_in(folder))]
    pictures: list[np.ndarray] = []
    labels: list[int] = []
    held_bytes = 0
    for index, files in groups:
        for file in files:
            picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if picture is None:
                log.warning("picture left out: it cannot be read", file=str(file))
                continue
            pictures.append(picture if preparation is None else sized(picture, preparation))
            labels.append(index)
            held_bytes += pictures[-1].nbytes
            _check_memory(len(pictures), held_bytes)
    if not pictures:
        raise ExportError(f"{folder} holds no readable picture; looked for {', '.join(SUFFIXES)}")
    return Samples(
        pictures=pictures,
        labels=np.array(labels, dtype=np.int64) if classes else None,
        names=tuple(child.name for child in classes),
        origin=f"{folder.name}, {len(pictures)} pictures",
    )


def _read_annotated(path: Path, preparation: Preparation | None) -> Samples:
    found = annotations.read(path)
    pictures: list[np.ndarray] = []
    held_bytes = 0
    for file in found.pictures:
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if picture is None:
            raise ExportError(f"{file} of {path} cannot be read; what was not looked at cannot be judged")
        pictures.append(picture if preparation is None else sized(picture, preparation))
        held_bytes += pictures[-1].nbytes
        _check_memory(len(pictures), held_bytes)
    return Samples(
        pictures=pictures,
        labels=None,
        names=found.names if preparation is None else (),
        origin=f"{path.name}, {len(pictures)} pictures",
        truth=found.truth if preparation is None else None,
    )


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def _check_memory(count: int, held_bytes: int) -> None:
    if held_bytes > MEMORY_MAX_BYTES:
        raise ExportError(f"the first {count} pictures fill {MEMORY_MAX_BYTES >> 30} GiB of memory; give fewer or smaller ones")


def _read_npz(path: Path, preparation: Preparation | None) -> Samples:
    arrays = _arrays(path)
    if "images" not in arrays:
        raise ExportError(f"{path} holds {', '.join(arrays) or 'nothing'}; it needs `images` uint8[n, row, column, 3]")
    images, labels = arrays["images"], arrays.get("labels")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise ExportError(
            f"`images` of {path} is {images.dtype}{list(images.shape)}; it must be uint8[n, row, column, 3] in RGB order"
        )
    if labels is not None and labels.shape != (len(images),):
        raise ExportError(f"`labels` of {path} has shape {list(labels.shape)}, there are {len(images)} images")
    names = () if labels is None else _names(path, labels, arrays.get("names"))
    pictures = [np.ascontiguousarray(image[..., ::-1]) for image in images]
    if preparation is not None:
        pictures = [sized(picture, preparation) for picture in pictures]
    return Samples(
        pictures=pictures,
        labels=None if labels is None else labels.astype(np.int64),
        names=names,
        origin=f"{path.name}, {len(images)} pictures",
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # numpy leaves a file open that turns out not to be a zip; this one is ours to close.
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ExportError(f"{path} holds one unnamed array; it needs `images` uint8[n, row, column, 3]")
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ExportError(f"{path} cannot be read: {error}") from error


def _names(path: Path, labels: np.ndarray, given: np.ndarray | None) -> tuple[str, ...]:
    """Class names: `given`, or the numbers up to the largest label."""
    if labels.dtype.kind not in "iu":
        raise ExportError(f"`labels` of {path} is {labels.dtype}; it must hold integers, the class of each image")
    low, high = int(labels.min()), int(labels.max())
    names = tuple(map(str, range(high + 1) if given is None else given.ravel()))
    if low < 0 or high >= len(names):
        raise ExportError(f"`labels` of {path} spans {low}..{high}, there are {len(names)} classes, counted from 0")
    return names
