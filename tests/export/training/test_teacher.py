import numpy as np
import onnx_ir as ir
import pytest
import torch

from isthmus.contract.prepare import Preparation
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples, prepared
from isthmus.export.training import matching
from isthmus.export.training.ensemble import Ensemble
from isthmus.export.training.recipe import Views
from isthmus.export.training.teacher import Teacher

PREPARATION = Preparation(width=16, height=16)
VIEWS = Views(count=3, mirror=True, crop_min=0.5)


@pytest.fixture(scope="module")
def halves(residual_source):
    return split(residual_source.model, cuts.find(cuts.enumerate(residual_source.model), "relu"))


@pytest.fixture(scope="module")
def samples():
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (16, 16, 3), np.uint8) for _ in range(6)]
    return Samples(pictures=pictures, labels=None, names=(), origin="noise")


@pytest.fixture(scope="module")
def teacher(halves, samples):
    return Teacher(halves, samples, PREPARATION, matched=("relu", *matching.levels(halves.tail)), views=VIEWS)


def test_features_and_answers_are_those_of_the_unsplit_network(teacher, residual_source, samples):
    batch = teacher.batch(np.array([4, 1]))
    pictures = prepared([samples.pictures[4], samples.pictures[1]], PREPARATION)
    whole = Session(residual_source.model)
    wanted = whole.run({whole.inputs[0]: pictures})[whole.outputs[0]]
    assert np.array_equal(batch.pictures.numpy(), pictures)
    assert torch.allclose(batch.answers[0], torch.from_numpy(wanted), rtol=1e-2, atol=1e-3)
    assert batch.features["relu"].shape == (2, 8, 8, 8)
    assert batch.photos.tolist() == [4, 1]


def test_a_view_is_answered_as_it_is_shown(teacher, halves):
    batch = teacher.batch(np.array([2, 2]), np.array([1, 2]))
    head = Session(halves.head)
    for row in range(2):
        wanted = head.run({head.inputs[0]: batch.pictures[row : row + 1].numpy()})["relu"]
        assert torch.allclose(batch.features["relu"][row], torch.from_numpy(wanted[0]), rtol=1e-2, atol=1e-3)
    assert not torch.equal(batch.pictures[0], batch.pictures[1])


def test_answers_are_those_of_the_ensemble_and_features_the_networks_own(halves, samples, residual_source):
    whole = residual_source.model
    doubled = whole.clone()
    [output] = doubled.graph.outputs
    both = ir.node("Add", [output, output])
    doubled.graph.append(both)
    output.name, both.outputs[0].name, both.outputs[0].type, both.outputs[0].shape = (
        "once",
        output.name,
        output.type,
        output.shape,
    )
    doubled.graph.outputs[0] = both.outputs[0]
    own = Teacher(halves, samples, PREPARATION, matched=("relu",)).batch(np.array([2]))
    learned = Teacher(halves, samples, PREPARATION, matched=("relu",), ensemble=Ensemble([whole, doubled])).batch(np.array([2]))
    assert torch.equal(own.features["relu"], learned.features["relu"])
    assert torch.allclose(1.5 * own.answers[0], learned.answers[0], rtol=1e-2, atol=1e-3)


def test_every_view_is_asked_about_once(halves, samples):
    seen = []
    made = Teacher(halves, samples, PREPARATION, views=VIEWS, on_row=lambda row, rows: seen.append((row, rows)))
    assert seen == [(row, 18) for row in range(1, 19)]
    assert made.views == 3


def test_fewer_views_are_shown_where_time_is_short(halves, samples):
    made = Teacher(halves, samples, PREPARATION, views=VIEWS, budget_s=1e-6)
    assert made.views == 1
    assert Teacher(halves, samples, PREPARATION, views=VIEWS, budget_s=1e-6, count=2).views == 2


def test_no_further_views_are_asked_about_on_a_machine_that_became_slower(halves, samples, monkeypatch):
    monkeypatch.setattr(Teacher, "_affordable", lambda _self, _budget_s: 3)
    made = Teacher(halves, samples, PREPARATION, views=VIEWS, budget_s=1e-6)
    assert made.views == 1
    assert len(made.batch(np.array([5])).pictures) == 1


def test_variances_are_of_the_matched_tensors_by_name(teacher):
    assert list(teacher.variances) == list(teacher.matched)
    assert all(found > 0 for found in teacher.variances.values())
