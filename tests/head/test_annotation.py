import numpy as np
import pytest

from isthmus.contract.classification import Classification
from isthmus.contract.detection import Detection
from isthmus.head.annotation import Said, draw

GREY = np.full((90, 120, 3), 60, np.uint8)


def seen(index=0, box=(20.0, 30.0, 60.0, 70.0), label="cup"):
    return Detection(index=index, label=label, score=0.9, box=box)


def changed(said, picture=GREY):
    """Where drawing changed the picture: bool[row, column]."""
    return (draw(picture, said) != picture).any(axis=2)


def test_the_picture_itself_is_not_changed():
    picture = GREY.copy()
    draw(picture, Said(detections=[seen()], note="late"))
    assert np.array_equal(picture, GREY)


def test_a_box_is_drawn_along_its_edge_and_not_inside():
    where = changed(Said(detections=[seen()]))
    assert where[30:70, 20].all()
    assert where[69, 20:60].all()
    assert not where[40:60, 30:50].any()


def test_classes_have_colours_of_their_own_and_old_boxes_are_grey():
    corners = [tuple(draw(GREY, Said(detections=[seen(index)]))[69, 40]) for index in range(12)]
    assert len(set(corners)) == 12
    old = draw(GREY, Said(detections=[seen()], stale=True))[69, 40]
    assert len(set(old.tolist())) == 1


def test_the_class_of_a_picture_stands_in_its_corner():
    where = changed(Said(classification=Classification(index=3, label="boot", confidence=0.5)))
    assert where[:8, :8].all()
    assert not where[45:].any()


def test_a_note_stands_at_the_bottom():
    where = changed(Said(note="no answer: link"))
    assert where[-8:, :8].all()
    assert not where[:45].any()


def test_nothing_said_changes_nothing():
    assert not changed(Said()).any()


@pytest.mark.parametrize("box", [(0.0, 0.0, 120.0, 90.0), (119.2, 89.1, 120.0, 90.0), (0.0, 0.0, 0.3, 0.2)])
@pytest.mark.parametrize("size", [(90, 120), (1, 1), (3, 700)])
def test_whatever_the_size_something_is_drawn(box, size):
    picture = np.zeros((*size, 3), np.uint8)
    said = Said(detections=[seen(box=box, label="\u732b" * 50)], note="no answer: deadline")
    assert draw(picture, said).shape == picture.shape
