import pytest

from isthmus.contract.classification import Classification
from isthmus.contract.detection import Detection
from isthmus.contract.filter import Presence
from isthmus.contract.presence import sees


def seen(label, score):
    return Detection(index=0, label=label, score=score, box=(0, 0, 1, 1))


@pytest.mark.parametrize(
    ("names", "found", "wanted"),
    [
        ((), [], False),
        ((), [seen("cat", 0.6)], True),
        ((), [seen("cat", 0.4)], False),
        (("dog",), [seen("cat", 0.9)], False),
        (("dog",), [seen("cat", 0.9), seen("dog", 0.5)], True),
    ],
)
def test_boxes_of_the_watched_classes_count_from_their_score(names, found, wanted):
    assert sees(Presence(kind="boxes", names=names, score_min=0.5), None, found) is wanted


@pytest.mark.parametrize(("label", "wanted"), [("nothing", False), ("7", True)])
def test_every_class_counts_but_those_of_nothing(label, wanted):
    answer = Classification(index=0, label=label, confidence=1.0)
    assert sees(Presence(kind="classes", names=("nothing",)), answer, None) is wanted


@pytest.mark.parametrize("kind", ["boxes", "classes"])
def test_an_answer_of_another_kind_says_nothing(kind):
    assert not sees(Presence(kind=kind), None, None)
