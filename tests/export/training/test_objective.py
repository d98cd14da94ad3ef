import numpy as np
import pytest
import torch

from isthmus.export.samples import Samples
from isthmus.export.training.objective import VARIANCE_MIN, ClassScores, RawOutputs, compact, objective, variance

ALL = torch.arange(6)


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def samples(labels=None, names=()):
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 6
    return Samples(pictures=pictures, labels=labels, names=names, origin="black")


def goal(*outputs, **known):
    return objective(outputs, samples(**known), temperature=2.0, label_weight=0.5)


def test_one_output_of_a_score_for_each_class_makes_a_classifier():
    scores = torch.randn(6, 3)
    made = goal(scores)
    assert isinstance(made, ClassScores)
    assert made.loss([scores], ALL) == pytest.approx(0, abs=1e-6)
    assert made.loss([scores + 5], ALL) == pytest.approx(0, abs=1e-6)  # chances do not change
    assert made.loss([-scores], ALL) > 0.01


def test_labels_count_where_they_are_known():
    scores = torch.eye(3).repeat(2, 1)
    labels = np.array([0, 1, 2, 2, 1, 0])
    known = goal(scores, labels=labels, names=("a", "b", "c"))
    assert known.loss([scores], ALL) > goal(scores).loss([scores], ALL) + 0.1


@pytest.mark.parametrize("shapes", [[(6, 5, 4, 4)], [(6, 9, 7)], [(6, 1)], [(6,)], [(6, 3), (6, 3)]])
def test_all_other_outputs_shall_come_out_as_they_were(shapes):
    outputs = [torch.randn(shape) for shape in shapes]
    made = goal(*outputs)
    assert isinstance(made, RawOutputs)
    assert made.loss(outputs, ALL) < 1e-4
    # Chances do not tell a shift, raw outputs do.
    assert made.loss([output + 1 for output in outputs], ALL) > 0.1


def test_the_error_counts_in_units_of_the_variance():
    output = torch.randn(400, 5, 8, 8)
    other = torch.randn(400, 5, 8, 8)
    made = RawOutputs.of([1000 * output])
    assert made.loss([1000 * other], torch.arange(400)) == pytest.approx(2.0, rel=0.05)


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
    made = goal(kinds, chances)
    assert list(made.outputs) == [1]
    assert made.loss([kinds + 1, chances], ALL) < 1e-4
    assert goal(kinds).loss([kinds], ALL) == 0


def test_targets_are_kept_in_half_precision_where_they_fit():
    assert compact(torch.tensor([1.0, 6e4])).dtype == torch.float16
    assert compact(torch.tensor([1.0, 7e4])).dtype == torch.float32
