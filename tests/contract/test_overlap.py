import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract import overlap
from isthmus.contract.detection import Found
from isthmus.errors import ContractMismatch

corner = st.integers(0, 30)
boxes = st.tuples(corner, corner, st.integers(1, 20), st.integers(1, 20)).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def outputs(*rows, places=6):
    """One frame: rows are (score, class, box)."""
    made = {
        "boxes": np.zeros((1, places, 4), np.float32),
        "scores": np.zeros((1, places), np.float32),
        "classes": np.full((1, places), -1, np.int64),
    }
    for index, (score, kind, box) in enumerate(rows):
        made["scores"][0, index], made["classes"][0, index], made["boxes"][0, index] = score, kind, box
    return made


def found(*rows):
    scores, kinds, corners = zip(*rows, strict=True)
    return Found(boxes=np.array(corners, float), scores=np.array(scores, float), classes=np.array(kinds))


A, B, FAR = (0, 0, 10, 10), (0, 0, 10, 8), (50, 50, 60, 60)


@given(one=boxes, other=boxes)
def test_the_overlap_is_that_of_counted_pixels(one, other):
    inside = [np.zeros((60, 60), bool) for _ in range(2)]
    for mask, (left, top, right, bottom) in zip(inside, (one, other), strict=True):
        mask[top:bottom, left:right] = True
    wanted = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
    assert overlap.overlaps(np.array([one], float), np.array([other], float))[0, 0] == pytest.approx(wanted)


def test_boxes_without_area_overlap_with_nothing():
    nothing = np.array([[1.0, 1, 1, 1]])
    assert overlap.overlaps(nothing, nothing).tolist() == [[0.0]]


def test_each_box_has_one_partner_of_its_class():
    pairs = overlap.pairs(found((0.9, 0, A), (0.8, 0, B), (0.7, 1, A)), found((0.9, 0, B), (0.5, 1, FAR)), overlap_min=0.5)
    assert pairs == [(0, 0)]


def test_the_nearest_partner_is_taken():
    assert overlap.pairs(found((0.9, 0, A)), found((0.9, 0, B), (0.1, 0, A)), overlap_min=0.5) == [(0, 1)]


def test_nothing_pairs_with_nothing():
    none = Found(boxes=np.zeros((0, 4)), scores=np.zeros(0), classes=np.zeros(0, int))
    assert overlap.pairs(none, found((0.9, 0, A)), overlap_min=0.5) == []
    assert overlap.pairs(found((0.9, 0, A)), none, overlap_min=0.5) == []


def test_answers_that_differ_in_the_last_digit_and_in_order_are_the_same():
    one = outputs((0.9, 0, A), (0.9, 1, FAR))
    other = outputs((0.90001, 1, FAR), (0.9, 0, (0, 0, 10.001, 10)))
    assert overlap.difference(one, other) == 0.0


def test_one_faint_box_more_hardly_counts_and_one_sure_box_does():
    both = [(0.9, 0, A), (0.9, 1, FAR)]
    assert 0 < overlap.difference(outputs(*both), outputs(*both, (0.02, 3, FAR))) < overlap.DIFFERENCE_MAX
    assert overlap.difference(outputs(*both), outputs(both[0])) > overlap.DIFFERENCE_MAX


@pytest.mark.parametrize("changed", [(0.9, 1, A), (0.7, 0, A), (0.9, 0, FAR)], ids=["class", "score", "place"])
def test_another_box_is_a_difference(changed):
    assert overlap.difference(outputs((0.9, 0, A)), outputs(changed)) == 1.0


def test_what_is_no_number_differs():
    assert overlap.difference(outputs((np.nan, 0, A)), outputs((0.9, 0, A))) == 1.0


def test_another_number_of_frames_differs():
    one = outputs((0.9, 0, A))
    two = {name: np.concatenate([array, array]) for name, array in one.items()}
    assert overlap.difference(one, two) == 1.0
    assert overlap.difference(two, two) == 0.0


def test_what_is_no_answer_of_a_detector_is_refused():
    with pytest.raises(ContractMismatch, match="needs 'scores'"):
        overlap.difference(outputs(), {"boxes": np.zeros((1, 1, 4))})


@given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 2), boxes), max_size=6))
def test_an_answer_equals_itself(rows):
    assert overlap.difference(outputs(*rows), outputs(*rows)) == pytest.approx(0.0)
