import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract.detection import Found
from isthmus.contract.manifest import Boxes, Task
from isthmus.export.judging import BoxJudge, ClassJudge, f1, judge_of
from isthmus.export.samples import Samples


def found(*rows):
    boxes = np.array([[x, y, x + 10, y + 10] for _, _, x, y in rows], float).reshape(-1, 4)
    return Found(boxes=boxes, scores=np.array([row[0] for row in rows]), classes=np.array([row[1] for row in rows], int))


@pytest.fixture
def detector(make_tiny_bundle):
    bundle = make_tiny_bundle()
    task = Task(kind="detection", boxes=Boxes(family="yolox", score_floor=0.01, score_min=0.3))
    object.__setattr__(bundle, "manifest", bundle.manifest.model_copy(update={"task": task}))
    return bundle


@pytest.fixture
def unlabelled():
    return Samples(pictures=[np.zeros((4, 4, 3), np.uint8)] * 2, labels=None, names=(), origin="two")


def test_the_task_chooses_the_judge(make_tiny_bundle, unlabelled):
    assert isinstance(judge_of(make_tiny_bundle(), unlabelled), ClassJudge)


def test_boxes_are_judged_by_their_partners(detector, unlabelled):
    judge = judge_of(detector, unlabelled)
    whole = [found((0.9, 0, 0, 0), (0.8, 1, 50, 50)), found((0.7, 0, 0, 0))]
    split = [found((0.9, 0, 1, 1), (0.8, 2, 50, 50)), found((0.7, 0, 0, 0))]
    metric = judge.score(split, whole)
    assert (metric.name, metric.value) == ("box agreement F1", pytest.approx(2 * 2 / 6))
    assert judge.score(whole, whole).value == 1.0


def test_only_boxes_that_people_see_are_judged(detector):
    outputs = {
        "boxes": np.zeros((1, 2, 4), np.float32),
        "scores": np.array([[0.5, 0.1]], np.float32),
        "classes": np.zeros((1, 2), np.int64),
    }
    assert len(BoxJudge(detector).read(outputs)) == 1


def test_without_boxes_nothing_is_known():
    metric = f1("F1", np.array([0, 0]), np.array([0, 0]))
    assert (metric.low, metric.high) == (0.0, 1.0)


def test_all_boxes_alike_is_no_certainty():
    metric = f1("F1", np.array([3, 2]), np.array([6, 4]))
    assert metric.value == metric.high == 1.0
    assert metric.low < 0.9


def test_boxes_of_one_picture_stand_or_fall_together():
    scattered = f1("F1", np.array([9] * 10), np.array([20] * 10))
    clustered = f1("F1", np.array([10] * 9 + [0]), np.array([20] * 10))
    assert scattered.value == clustered.value
    assert clustered.low < scattered.low


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=20))
def test_the_share_lies_within_its_interval(rows):
    pairs = np.array([min(row) for row in rows])
    metric = f1("F1", pairs, np.array([sum(row) for row in rows]))
    assert metric.low <= metric.value <= metric.high
