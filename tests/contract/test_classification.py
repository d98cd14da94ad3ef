import numpy as np
import pytest

from isthmus.contract.classification import classify
from isthmus.contract.manifest import Port, Task
from isthmus.errors import ContractMismatch


@pytest.fixture
def three(make_manifest):
    return make_manifest(
        outputs=(Port(name="logits", datatype="FP32", shape=(None, 3)), Port(name="features", datatype="FP32", shape=(None, 8))),
        task=Task(kind="classification", labels=("boot", "dress", "hat")),
    )


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_the_largest_score_names_the_class(three, shape):
    found = classify({"logits": np.array([1, 3, 2], np.float32).reshape(shape), "features": np.ones((1, 8))}, three)
    assert (found.index, found.label) == (1, "dress")


def test_confidence_is_the_softmax_of_the_largest_score(three):
    found = classify({"logits": np.log(np.array([[0.2, 0.1, 0.7]]))}, three)
    assert found.confidence == pytest.approx(0.7)


def test_large_scores_do_not_overflow(three):
    found = classify({"logits": np.array([[1e4, -1e4, 0]], np.float32)}, three)
    assert (found.label, found.confidence) == ("boot", 1.0)


def test_without_labels_the_index_is_the_label(make_manifest):
    assert classify({"logits": np.array([0, 0, 5], np.float32)}, make_manifest()).label == "2"


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "the answer holds nothing, the bundle's first output is 'logits'"),
        ({"features": np.ones((1, 8))}, "the answer holds features"),
        ({"logits": np.ones((1, 4))}, "4 class scores came, the bundle names 3 labels"),
        ({"logits": np.ones((1, 0))}, r"'logits' holds no class scores, its shape is \[1, 0\]"),
    ],
)
def test_outputs_of_another_bundle_are_refused(three, outputs, message):
    with pytest.raises(ContractMismatch, match=message):
        classify(outputs, three)
