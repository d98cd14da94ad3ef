import numpy as np
import pytest
import torch

from isthmus.export.samples import Samples
from isthmus.export.training.objective import ClassScores, RawOutputs, WithOwn, known_labels, objective, variance
from isthmus.export.training.recipe import Answers
from isthmus.export.training.teacher import VARIANCE_MIN, Batch

ASKED = Answers(temperature=2.0, labels=0.5)


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def samples(labels=None, names=()):
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 6
    return Samples(pictures=pictures, labels=labels, names=names, origin="black")


def batch(*outputs):
    return Batch(pictures=torch.empty(0), features={}, answers=list(outputs), photos=torch.arange(len(outputs[0])))


def test_one_output_of_a_score_for_each_class_makes_a_classifier():
    scores = torch.randn(6, 3)
    made = objective([scores], samples())
    assert isinstance(made, ClassScores)
    assert made.loss([scores], batch(scores), ASKED) == pytest.approx(0, abs=1e-6)
    assert made.loss([scores + 5], batch(scores), ASKED) == pytest.approx(0, abs=1e-6)  # chances do not change
    assert made.loss([-scores], batch(scores), ASKED) > 0.01


def test_labels_count_where_they_are_known():
    scores = torch.eye(3).repeat(2, 1)
    labels = np.array([0, 1, 2, 2, 1, 0])
    known = objective([scores], samples(labels, tuple("abc")))
    assert known.loss([scores], batch(scores), ASKED) > objective([scores], samples()).loss([scores], batch(scores), ASKED) + 0.1
    assert known.loss([scores], batch(scores), Answers(labels=0.0)) == pytest.approx(0, abs=1e-6)


def test_smoothed_labels_cost_a_certain_answer_more():
    certain = 20 * torch.eye(3).repeat(2, 1)
    known = objective([certain], samples(np.array([0, 1, 2, 0, 1, 2]), tuple("abc")))
    plain, smooth = (known.loss([certain], batch(certain), Answers(labels=1.0, smoothing=share)) for share in (0.0, 0.1))
    assert smooth > plain + 0.5


@pytest.mark.parametrize("shapes", [[(6, 5, 4, 4)], [(6, 9, 7)], [(6, 1)], [(6,)], [(6, 3), (6, 3)]])
def test_all_other_outputs_shall_come_out_as_they_were(shapes):
    outputs = [torch.randn(shape) for shape in shapes]
    made = objective(outputs, samples())
    assert isinstance(made, RawOutputs)
    assert made.loss(outputs, batch(*outputs), ASKED) == 0
    # Chances do not tell a shift, raw outputs do.
    assert made.loss([output + 1 for output in outputs], batch(*outputs), ASKED) > 0.1


def test_the_error_counts_in_units_of_the_variance():
    output, other = torch.randn(400, 5, 8, 8), torch.randn(400, 5, 8, 8)
    made = RawOutputs.of([1000 * output])
    assert made.loss([1000 * other], batch(1000 * output), ASKED) == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("axis", [1, 2])
def test_chances_beside_pixels_have_their_own_variance_along_either_axis(axis):
    pixels, chances = 300 * torch.randn(50, 4, 30), 0.01 * torch.randn(50, 2, 30)
    outputs = torch.cat([pixels, chances], 1).movedim(1, axis)
    found = variance(outputs)
    assert found.shape == ((1, 6, 1) if axis == 1 else (1, 1, 6))
    assert found.flatten() == pytest.approx([9e4] * 4 + [1e-4] * 2, rel=0.3)


def test_what_never_varies_weighs_no_more_than_the_bound():
    assert variance(torch.zeros(9, 4, 4)).unique().tolist() == pytest.approx([VARIANCE_MIN])


def test_outputs_of_integers_teach_nothing():
    chances, kinds = torch.rand(6, 4, 4), torch.zeros(6, 4, dtype=torch.int64)
    made = objective([kinds, chances], samples())
    assert list(made.variances) == [1]
    assert made.loss([kinds + 1, chances], batch(kinds, chances), ASKED) == 0
    assert objective([kinds], samples()).loss([kinds], batch(kinds), ASKED) == 0


def test_a_loss_of_the_user_is_added_with_its_weight_and_sees_the_labels():
    scores = torch.randn(6, 3)
    known = samples(np.array([0, 1, 2, 2, 1, 0]), tuple("abc"))
    labels = known_labels([scores], known)
    made = WithOwn(
        objective=objective([scores], known), labels=labels, losses={"m:f": lambda _one, _other, truth: truth.sum().float()}
    )
    plain, own = Answers(), Answers(own="m:f", own_weight=0.5)
    assert made.loss([scores], batch(scores), own) - made.loss([scores], batch(scores), plain) == pytest.approx(3.0)
