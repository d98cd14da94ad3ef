"""True boxes of pictures, read from a file of annotations as COCO's are.

    {"images": [{"id", "file_name", "width", "height"}],
     "categories": [{"id", "name"}],
     "annotations": [{"image_id", "category_id", "bbox": [x, y, width, height], "area", "iscrowd"}]}

Pictures are looked for beside the file, in a folder `images` beside it, and where COCO's own archives put them: those of
annotations/instances_val2017.json in val2017/.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from isthmus.errors import ExportError

PREFIX = "instances_"
"""Of COCO's own files of boxes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What is to be seen in one picture.

    Attributes:
        boxes: float64[n, 4], x1 y1 x2 y2 in pixels of the picture.
        classes: int64[n], places in the names of the samples.
        crowd: bool[n], boxes round more things than were counted; what is found there is neither right nor wrong.
    """

    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """A file of annotations.

    Attributes:
        pictures: files, in the order of the images in the file.
        truth: of each picture.
        names: of the categories, in the order of their ids.
    """

    pictures: tuple[Path, ...]
    truth: tuple[Truth, ...]
    names: tuple[str, ...]


class _Image(BaseModel):
    id: int
    file_name: str


class _Category(BaseModel):
    id: int
    name: str


class _Box(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: bool = False


class _File(BaseModel):
    images: list[_Image] = Field(min_length=1)
    categories: list[_Category] = Field(min_length=1)
    annotations: list[_Box]


def read(path: Path) -> Annotated:
    """Read a file of annotations; the pictures themselves are not read.

    Raises:
        ExportError: it cannot be read, has another form, or names pictures that are not there.
    """
    found = _parsed(path)
    ordered = sorted(found.categories, key=lambda one: one.id)
    places = {category.id: place for place, category in enumerate(ordered)}
    by_image: dict[int, list[_Box]] = {image.id: [] for image in found.images}
    for number, box in enumerate(found.annotations):
        if box.image_id not in by_image or box.category_id not in places:
            raise ExportError(
                f"annotation {number} of {path} is of image {box.image_id} and category {box.category_id}; the file has no such "
                f"{'image' if box.image_id not in by_image else 'category'}"
            )
        by_image[box.image_id].append(box)
    return Annotated(
        pictures=_files(path, [image.file_name for image in found.images]),
        truth=tuple(_truth(by_image[image.id], places) for image in found.images),
        names=tuple(category.name for category in ordered),
    )


def _parsed(path: Path) -> _File:
    try:
        told: Any = json.loads(path.read_bytes())
        return _File.model_validate(told)
    except (OSError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise ExportError(f"{path} cannot be read: {error}") from error
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ExportError(f"{path} holds no annotations as COCO's are: {where}: {first['msg']}") from error


def _truth(boxes: list[_Box], places: dict[int, int]) -> Truth:
    corners = np.array([box.bbox for box in boxes], dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return Truth(
        boxes=corners,
        classes=np.array([places[box.category_id] for box in boxes], dtype=np.int64),
        crowd=np.array([box.iscrowd for box in boxes], dtype=bool),
    )


def _files(path: Path, names: list[str]) -> tuple[Path, ...]:
    """All pictures, from the first folder that has the first of them."""
    folders = (path.parent, path.parent / "images", path.parent.parent / path.stem.removeprefix(PREFIX))
    folder = next((one for one in folders if (one / names[0]).is_file()), None)
    if folder is None:
        looked = ", ".join(str(one) for one in folders)
        raise ExportError(f"{path} names the picture {names[0]}, which is in none of {looked}")
    files = tuple(folder / name for name in names)
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ExportError(f"{path} names {len(missing)} pictures that are not there, as {missing[0]}")
    return files
