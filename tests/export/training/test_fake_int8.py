import numpy as np
import pytest
import torch
from torch import nn

from isthmus.contract.prepare import Preparation
from isthmus.export.bottlenecks.bottleneck import from_modules
from isthmus.export.bottlenecks.convolutional import Encoder
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session
from isthmus.export.int8 import qdq, ranges
from isthmus.export.training import fake_int8

PREPARATION = Preparation(width=16, height=16)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    made = Encoder(3, 4, 4)
    made(torch.rand(32, 3, 16, 16))  # batch norms see something
    return made.eval()


def test_weights_lie_on_a_grid_for_each_output_channel():
    weights = torch.randn(5, 3, 3, 3) * torch.tensor([1e-3, 1, 1, 1, 1e3]).reshape(5, 1, 1, 1)
    steps = fake_int8.rounded_weights(weights) / (weights.abs().flatten(1).amax(1) / 127).reshape(5, 1, 1, 1)
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert steps.abs().max() == pytest.approx(127)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-2.0, 1.0), (-1.0, -0.5)])
def test_activations_lie_on_one_grid_that_holds_nothing_exactly(low, high):
    values = torch.linspace(low, high, 999)
    found = fake_int8.rounded_activations(values)
    step = (max(high, 0) - min(low, 0)) / 255
    assert len(found.unique()) <= 256
    assert (found - values).abs().max() <= step * 1.01
    assert torch.allclose(found / step, (found / step).round(), atol=1e-3)


def test_rounding_passes_the_gradient_to_the_encoders_own_weights(encoder):
    fake_int8.computed(encoder, torch.rand(2, 3, 16, 16)).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in encoder.parameters())


def test_the_encoder_is_left_as_it_was(encoder):
    pictures = torch.rand(2, 3, 16, 16)
    before = encoder(pictures)
    assert not torch.equal(fake_int8.computed(encoder, pictures), before)
    assert torch.equal(encoder(pictures), before)


def test_an_encoder_of_one_layer_has_weights_too():
    layer, pictures = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)
    assert not torch.equal(fake_int8.computed(layer, pictures), layer(pictures))


def test_it_computes_what_the_int8_head_will(encoder, residual_source, monkeypatch):
    """Codes of the int8 head are nearer to these than to those of the float head; ranges are looked at anew, so not the same."""
    monkeypatch.setattr(ranges, "_CLIP_RATIOS", np.ones(1))
    for _ in range(50):
        encoder.train()(torch.rand(32, 3, 16, 16))
    encoder.eval().gain.data.fill_(25.0)  # many steps to a standard deviation: the wire's rounding is small beside the layers'
    halves = split(residual_source.model, cuts.find(cuts.enumerate(residual_source.model), "relu"))
    decoder = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 8, 1))
    coded = assembled(halves, [from_modules(halves, encoder, decoder, bits=8, replaces_head=True)])
    pictures = np.random.default_rng(0).random((16, 3, 16, 16), dtype=np.float32)
    plan = qdq.plan(coded.head, (row[None] for row in pictures))
    session = Session(qdq.applied(plan, coded.boundary, "uint8"))
    wanted = torch.from_numpy(session.run({session.inputs[0]: pictures})[session.outputs[0]]).float()
    with torch.no_grad():
        fake, plain = (made(torch.from_numpy(pictures)) for made in (lambda shown: fake_int8.computed(encoder, shown), encoder))
    errors = [float((units - wanted).square().mean()) for units in (fake, plain)]
    rounding = 1 / 12
    assert errors[0] - rounding < 0.6 * (errors[1] - rounding)
