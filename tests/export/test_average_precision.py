import contextlib
import io

import numpy as np
import pytest

from isthmus.contract.detection import Found
from isthmus.export import average_precision
from isthmus.export.annotations import Truth
from isthmus.export.average_precision import matches, precisions


def things(rows):
    """True boxes of one picture: [class, x, y, crowd]."""
    boxes = np.array([[x, y, x + 10, y + 10] for _, x, y, _ in rows], float).reshape(-1, 4)
    return Truth(boxes=boxes, classes=np.array([row[0] for row in rows], int), crowd=np.array([row[3] for row in rows], bool))


def found(rows):
    """Found boxes of one picture: [score, class, x, y]."""
    boxes = np.array([[x, y, x + 10, y + 10] for _, _, x, y in rows], float).reshape(-1, 4)
    return Found(boxes=boxes, scores=np.array([row[0] for row in rows]), classes=np.array([row[1] for row in rows], int))


def once(pictures):
    return np.ones((1, pictures), int)


def at_half(answers, truth, counts=None, classes=2):
    return precisions(matches(answers, truth, classes), once(len(truth)) if counts is None else np.array(counts))[:, 0]


def test_a_wrong_box_before_the_right_one_halves_the_precision():
    truth = [things([(0, 0, 0, False)])]
    assert at_half([found([(0.9, 0, 50, 50), (0.8, 0, 1, 0)])], truth) == pytest.approx(0.5)
    assert at_half([found([(0.9, 0, 1, 0), (0.8, 0, 50, 50)])], truth) == pytest.approx(1.0)


def test_overlaps_count_from_what_they_are_worth():
    (each,) = precisions(matches([found([(0.9, 0, 2, 0)])], [things([(0, 0, 0, False)])], 1), once(1))
    assert each.tolist() == pytest.approx([1.0] * 4 + [0.0] * 6)  # 8 of 12: an overlap of 0.67


def test_classes_count_alike_and_those_that_nowhere_occur_do_not():
    truth = [things([(0, 0, 0, False), (0, 50, 0, False), (1, 0, 50, False)])]
    assert at_half([found([(0.9, 0, 0, 0), (0.8, 0, 50, 0), (0.7, 2, 0, 0)])], truth, classes=4) == pytest.approx(0.5)


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong():
    truth = [things([(0, 0, 0, False), (0, 50, 50, True)])]
    assert at_half([found([(0.9, 0, 50, 50), (0.8, 0, 51, 50), (0.7, 0, 0, 0)])], truth) == pytest.approx(1.0)


def test_pictures_that_are_not_drawn_do_not_count():
    truth = [things([(0, 0, 0, False)]), things([(0, 0, 0, False)]), things([])]
    answers = [found([(0.9, 0, 0, 0)]), found([]), found([])]
    assert at_half(answers, truth, [[1, 0, 0], [0, 1, 0], [3, 1, 5]])[:2].tolist() == pytest.approx([1.0, 0.0])
    assert np.isnan(at_half(answers, truth, [[0, 0, 2]]))


def test_a_picture_drawn_twice_is_as_two_of_them(monkeypatch):
    monkeypatch.setattr(average_precision, "VALUES_MAX", 1)  # one draw at a time
    truth = [things([(0, 0, 0, False)]), things([(0, 0, 0, False), (0, 50, 0, False)])]
    answers = [found([(0.9, 0, 0, 0), (0.5, 0, 30, 30)]), found([(0.7, 0, 0, 0)])]
    doubled = precisions(matches([*answers, answers[1]], [*truth, truth[1]], 1), once(3))
    drawn = precisions(matches(answers, truth, 1), np.array([[1, 2], [1, 1]]))
    np.testing.assert_allclose(drawn[0], doubled[0])


def test_figures_are_those_of_pycocotools():
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    random = np.random.default_rng(3)
    real = [[(random.integers(3), *random.integers(0, 60, 2), random.random() < 0.1) for _ in range(6)] for _ in range(8)]
    near = [[(random.random(), c, x + random.integers(4), y) for c, x, y, _ in rows] for rows in real]
    far = [[(random.random(), random.integers(3), *random.integers(0, 60, 2)) for _ in range(9)] for _ in real]
    truth, answers = [things(rows) for rows in real], [found(a + b) for a, b in zip(near, far, strict=True)]
    made = average_precision._coco(average_precision._true_boxes(truth), 8, 3)
    judged = cocoeval.COCOeval(made, average_precision._coco(average_precision._found_boxes(answers), 8, 3), "bbox")
    with contextlib.redirect_stdout(io.StringIO()):
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    (each,) = precisions(matches(answers, truth, 3), once(8))
    assert [each.mean(), each[0], each[5]] == pytest.approx(judged.stats[:3])
    assert 0.05 < judged.stats[1] < 0.95
