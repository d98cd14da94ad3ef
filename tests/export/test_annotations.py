import json

import cv2
import numpy as np
import pytest

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export import annotations, samples

IMAGES = [{"id": 7, "file_name": "b.png"}, {"id": 3, "file_name": "a.png"}]
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
BOX = {"image_id": 3, "category_id": 18, "bbox": [10, 20, 30, 40], "area": 900, "iscrowd": 1}


def write(file, images=IMAGES, boxes=(BOX,), **more):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "categories": CATEGORIES, "annotations": list(boxes), **more}))
    return file


def draw(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((60, 50, 3), 10 * index, np.uint8))


def test_boxes_are_corners_of_the_picture_that_they_belong_to(tmp_path):
    draw(tmp_path, "a.png", "b.png")
    found = annotations.read(write(tmp_path / "boxes.json"))
    assert [file.name for file in found.pictures] == ["b.png", "a.png"]
    assert found.names == ("person", "dog")
    none, one = found.truth
    assert (len(none.boxes), one.boxes.tolist()) == (0, [[10, 20, 40, 60]])
    assert (one.classes.tolist(), one.crowd.tolist()) == ([1], [True])


@pytest.mark.parametrize("folder", ["annotations", "annotations/images", "val2017"])
def test_pictures_are_found_where_coco_puts_them(tmp_path, folder):
    draw(tmp_path / folder, "a.png", "b.png")
    found = annotations.read(write(tmp_path / "annotations" / "instances_val2017.json"))
    assert found.pictures[1] == tmp_path / folder / "a.png"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"boxes": [{**BOX, "image_id": 4}]}, "no such image"),
        ({"boxes": [{**BOX, "category_id": 2}]}, "no such category"),
        ({"boxes": [{**BOX, "bbox": [1, 2, 3]}]}, "annotations.0.bbox"),
        ({"images": []}, "images"),
        ({"images": [{"id": 3, "file_name": "c.png"}]}, "names the picture c.png"),
        ({"images": [*IMAGES, {"id": 1, "file_name": "c.png"}]}, "1 pictures that are not there"),
    ],
)
def test_files_that_do_not_hold_together_are_refused_in_one_line(tmp_path, change, told):
    draw(tmp_path, "a.png", "b.png")
    with pytest.raises(ExportError, match=told) as raised:
        annotations.read(write(tmp_path / "boxes.json", **change))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "boxes.json").write_bytes(text)
    with pytest.raises(ExportError, match="cannot be read"):
        annotations.read(tmp_path / "boxes.json")


def test_samples_carry_the_true_boxes_of_their_pictures(tmp_path):
    draw(tmp_path, "a.png", "b.png")
    found = samples.read(write(tmp_path / "boxes.json"))
    assert [int(picture[0, 0, 0]) for picture in found.pictures] == [10, 0]
    assert found.part(np.array([1])).truth[0].boxes.tolist() == [[10, 20, 40, 60]]


def test_pictures_for_training_carry_no_boxes(tmp_path):
    draw(tmp_path, "a.png", "b.png")
    found = samples.read(write(tmp_path / "boxes.json"), Preparation(width=8, height=8))
    assert (found.truth, found.names, found.pictures[0].shape) == (None, (), (8, 8, 3))


def test_a_picture_that_cannot_be_read_is_not_left_out(tmp_path):
    draw(tmp_path, "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ExportError, match=r"b\.png"):
        samples.read(write(tmp_path / "boxes.json"))
