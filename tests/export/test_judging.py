import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract.detection import Found
from isthmus.contract.manifest import Boxes, Task
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.annotations import Truth
from isthmus.export.judging import BoxJudge, ClassJudge, TruthJudge, f1, judge_of
from isthmus.export.samples import Samples


def found(*rows):
    boxes = np.array([[x, y, x + 10, y + 10] for _, _, x, y in rows], float).reshape(-1, 4)
    return Found(boxes=boxes, scores=np.array([row[0] for row in rows]), classes=np.array([row[1] for row in rows], int))


@pytest.fixture
def detector(make_tiny_bundle):
    bundle = make_tiny_bundle()
    task = Task(kind="detection", labels=("cat", "dog", "owl"), boxes=Boxes(family="yolox", score_floor=0.01, score_min=0.3))
    preparation = Preparation(width=100, height=100, fit="letterbox")
    object.__setattr__(bundle, "manifest", bundle.manifest.model_copy(update={"task": task, "preparation": preparation}))
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
    (metric,) = judge.score(split, whole)
    assert (metric.name, metric.value) == ("box agreement F1", pytest.approx(2 * 2 / 6))
    assert judge.score(whole, whole)[0].value == 1.0


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


def annotated(*pictures, names=("dog", "cat")):
    """Pictures of 200 x 100 with one true box each, [class, x, y] in source pixels, 20 pixels wide."""
    truth = [
        Truth(boxes=np.array([[x, y, x + 20, y + 20]], float), classes=np.array([index]), crowd=np.zeros(1, bool))
        for index, x, y in pictures
    ]
    blank = [np.zeros((100, 200, 3), np.uint8)] * len(truth)
    return Samples(pictures=blank, labels=None, names=names, origin="drawn", truth=tuple(truth))


def test_true_boxes_are_found_where_the_letterbox_puts_them(detector):
    judge = judge_of(detector, annotated((0, 100, 40), (1, 0, 0)))
    assert isinstance(judge, TruthJudge)
    right = [found((0.9, 1, 50, 45)), found((0.8, 0, 0, 25))]
    assert {one.name: one.value for one in judge.score(right, right)} == pytest.approx({"AP50": 1.0, "AP": 1.0})
    swapped = [found((0.9, 0, 50, 45)), found((0.8, 1, 0, 25))]
    assert judge.score(swapped, right)[0].value == 0.0


def test_what_lies_beyond_the_picture_is_cut_off(detector):
    judge = judge_of(detector, annotated((1, 0, 0)))
    wide = Found(boxes=np.array([[-80.0, -80, 10, 35]]), scores=np.array([0.9]), classes=np.array([0]))
    assert judge.score([wide], [])[1].value == pytest.approx(1.0)


def test_half_of_the_pictures_right_is_a_wide_interval(detector):
    judge = judge_of(detector, annotated(*[(0, 100, 40)] * 20))
    found_half = [found((0.9, 1, 50, 45))] * 10 + [found()] * 10
    metric, _ = judge.score(found_half, [])
    assert metric.value == pytest.approx(51 / 101)
    assert metric.low < 0.4 < 0.6 < metric.high


def test_without_true_boxes_precision_is_not_known(detector):
    nothing = Truth(boxes=np.zeros((0, 4)), classes=np.zeros(0, int), crowd=np.zeros(0, bool))
    samples = Samples(pictures=[np.zeros((9, 9, 3), np.uint8)], labels=None, names=("cat",), origin="none", truth=(nothing,))
    metric, _ = judge_of(detector, samples).score([found((0.9, 0, 1, 1))], [])
    assert (metric.value, metric.low, metric.high) == (0.0, 0.0, 1.0)


def test_boxes_of_a_class_that_the_bundle_does_not_know_are_refused(detector):
    with pytest.raises(ExportError, match="boxes of newt"):
        judge_of(detector, annotated((0, 1, 1), names=("newt",)))
