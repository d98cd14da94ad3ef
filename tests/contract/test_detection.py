import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract import detection
from isthmus.contract.manifest import Boxes, Task
from isthmus.contract.prepare import Preparation, geometry
from isthmus.errors import ContractMismatch

BOXES = Boxes(family="yolox", score_floor=0.01, score_min=0.3, overlap_max=0.45)


def outputs(*rows):
    """Outputs of one frame: rows are (score, class, x1, y1, x2, y2), then one place that is filled up."""
    filled = [*rows, (0.0, -1, 0, 0, 0, 0)]
    return {
        "boxes": np.array([[row[2:] for row in filled]], np.float32),
        "scores": np.array([[row[0] for row in filled]], np.float32),
        "classes": np.array([[row[1] for row in filled]], np.int64),
    }


@pytest.fixture
def detector_of(make_manifest):
    """A function that makes the manifest of a detector of two classes with a preparation."""

    def make(preparation, labels=("cup", "cat")):
        return make_manifest(preparation=preparation, task=Task(kind="detection", labels=labels, boxes=BOXES))

    return make


def test_filling_is_no_box():
    found = detection.read(outputs((0.9, 1, 1, 2, 3, 4), (0.02, 0, 5, 6, 7, 8)))
    assert found.scores.tolist() == pytest.approx([0.9, 0.02])
    assert found.classes.tolist() == [1, 0]
    assert found.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert len(found.above(0.5)) == 1


def test_a_score_that_is_no_number_is_kept():
    assert np.isnan(detection.read(outputs((np.nan, 0, 1, 2, 3, 4))).scores).tolist() == [True]


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("boxes", None, "needs 'boxes'"),
        ("scores", np.zeros((1, 3), np.float32), r"scores \[1, 3\]"),
        ("boxes", np.zeros((1, 2, 5), np.float32), r"boxes \[1, 2, 5\]"),
        ("classes", np.zeros((1, 2), np.float32), "float32, they must be integers"),
    ],
)
def test_what_is_no_detector_is_refused(name, array, words):
    given_outputs = outputs((0.9, 1, 1, 2, 3, 4)) | {name: array}
    with pytest.raises(ContractMismatch, match=words):
        detection.read({key: value for key, value in given_outputs.items() if value is not None})


def test_boxes_come_back_in_source_pixels(detector_of):
    # 200 x 100 into 100 x 100: half the size, 25 rows of grey above and below.
    manifest = detector_of(Preparation(width=100, height=100, fit="letterbox"))
    (found,) = detection.detect(outputs((0.9, 1, 10, 35, 60, 65)), manifest, width=200, height=100)
    assert (found.label, found.index, found.score) == ("cat", 1, pytest.approx(0.9))
    assert found.box == pytest.approx((20, 20, 120, 80))


def test_boxes_are_clipped_to_the_picture_and_those_outside_left_out(detector_of):
    manifest = detector_of(Preparation(width=100, height=100, fit="letterbox"))
    found = detection.detect(outputs((0.9, 0, -20, 10, 130, 200), (0.8, 0, 10, 5, 90, 25)), manifest, width=200, height=100)
    assert [one.box for one in found] == [(0.0, 0.0, 200.0, 100.0)]


def test_faint_boxes_are_not_shown(detector_of):
    manifest = detector_of(Preparation(width=100, height=100))
    found = detection.detect(outputs((0.31, 0, 1, 1, 9, 9), (0.29, 0, 1, 1, 9, 9)), manifest, width=10, height=10)
    assert [round(one.score, 2) for one in found] == [0.31]


def test_classes_without_names_are_called_by_number(detector_of):
    manifest = detector_of(Preparation(width=100, height=100), labels=())
    assert detection.detect(outputs((0.9, 7, 1, 1, 9, 9)), manifest, width=10, height=10)[0].label == "7"


def test_a_class_beyond_the_names_is_refused(detector_of):
    manifest = detector_of(Preparation(width=100, height=100))
    with pytest.raises(ContractMismatch, match="class 2, the bundle names 2"):
        detection.detect(outputs((0.9, 2, 1, 1, 9, 9)), manifest, width=10, height=10)


def test_another_task_is_refused(make_manifest):
    with pytest.raises(ContractMismatch, match="no detector"):
        detection.detect(outputs(), make_manifest(), width=10, height=10)


sides = st.integers(8, 400)


@given(fit=st.sampled_from(["stretch", "letterbox"]), width=sides, height=sides, data=st.data())
def test_a_box_of_the_source_survives_the_way_there_and_back(fit, width, height, data):
    # `crop` loses what it cuts off.
    corners = [data.draw(st.integers(0, limit - 2)) for limit in (width, height)]
    ends = [data.draw(st.integers(low + 1, limit)) for low, limit in zip(corners, (width, height), strict=True)]
    preparation = Preparation(width=96, height=64, fit=fit)
    place = geometry(preparation, width, height)
    scale, offset = np.array([place.scale_x, place.scale_y] * 2), np.array([place.offset_x, place.offset_y] * 2)
    prepared = np.array([*corners, *ends]) * scale + offset
    found = detection.read({**outputs((0.9, 0, *prepared))})
    back = place.to_source(found.boxes.reshape(-1, 2, 2)).ravel()
    assert back == pytest.approx([*corners, *ends], abs=1e-2)
