import pytest
import torch
from torch import nn

from isthmus.export.training import stages
from isthmus.export.training.interpreter import OnnxModule
from isthmus.export.training.prior import FactorisedPrior
from isthmus.export.training.recipe import Matched, Optimiser, Schedule, Stage
from isthmus.export.training.student import Student


@pytest.fixture
def student(handmade):
    tail = OnnxModule(handmade["skip"], trainable={"w3"})
    return Student(
        nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)),
        tail,
        quantiser="noise",
        code_range=(-8, 7),
        prior=FactorisedPrior(2),
    )


def stage(trains, **optimiser):
    return Stage(
        name="s",
        share=1.0,
        trains=trains,
        features=(Matched(),),
        optimiser=Optimiser(**{"learning_rate": 0.5, "kind": "sgd", **optimiser}),
    )


def test_frozen_modules_keep_weights_and_statistics(student):
    one = stage(("decoder",))
    student.enter(one)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    moving = stages.optimiser(student, one)
    student.restored(student.codes(torch.rand(4, 3, 8, 8))).square().sum().backward()
    moving.step()
    changed = {name.split(".")[0] for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"decoder"}


def test_the_prior_learns_with_the_encoder_and_the_tail_at_its_own_rate(student):
    one = stage(("encoder", "tail"), tail_rate=0.1)
    student.enter(one)
    moving = stages.optimiser(student, one)
    stages.set_rate(moving, 0.5)
    assert [group["lr"] for group in moving.param_groups] == [0.25, pytest.approx(0.025)]
    assert len(moving.param_groups[0]["params"]) == 4 + 11
    assert len(moving.param_groups[1]["params"]) == 1


def test_noise_stands_for_rounding_only_while_the_encoder_learns(student):
    pictures = torch.rand(2, 3, 8, 8)
    student.enter(stage(("encoder",)))
    torch.manual_seed(0)
    noisy = student.codes(pictures)
    assert not torch.equal(noisy, noisy.round())
    student.enter(stage(("decoder",)))
    whole = student.codes(pictures)
    assert torch.equal(whole, whole.round())


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (Schedule(), 50, 1.0),
        (Schedule(kind="cosine", end=0.1), 0, 1.0),
        (Schedule(kind="cosine", end=0.1), 50, 0.55),
        (Schedule(kind="cosine", end=0.1), 100, 0.1),
        (Schedule(kind="steps", at=(0.25, 0.5), factor=0.1), 24, 1.0),
        (Schedule(kind="steps", at=(0.25, 0.5), factor=0.1), 25, 0.1),
        (Schedule(kind="steps", at=(0.25, 0.5), factor=0.1), 99, 0.01),
        (Schedule(warm_up=4), 0, 0.2),
        (Schedule(warm_up=4), 4, 1.0),
        (Schedule(warm_up=1000), 10, 1.0),
    ],
)
def test_the_rate_follows_its_schedule_and_warms_up_for_a_tenth_at_most(schedule, step, expected):
    assert stages.factor(schedule, step, 100) == pytest.approx(expected)
