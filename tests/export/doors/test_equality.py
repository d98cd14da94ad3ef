import pytest
import torch
from torch import nn

from isthmus.errors import ExportError
from isthmus.export.doors import equality, tracing

FAULTS = "look for operations that change their input in place"


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Amplifying(nn.Module):
    """Blows up the rounding of a sum, as sharp attention does."""

    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def forward(self, x):
        return torch.sin(self.gain * x.mean(1))


class Tied(nn.Module):
    """Takes the first, second or third value by which of three equal sums is the largest."""

    def forward(self, x):
        sums = torch.stack([x.sum(1), x.flip(1).sum(1), x.roll(7, 1).sum(1)], 1)
        return x[:, :3].gather(1, sums.topk(1, 1).indices)


class OnlyFloat32(nn.Module):
    def forward(self, x):
        if x.dtype != torch.float32:
            raise TypeError("float32 only")
        return x


def traced(module):
    made = tracing.to_onnx(module.eval(), (torch.rand(64, 64, generator=torch.Generator().manual_seed(0)),))
    return made.model, made.feeds


def test_what_differs_by_less_than_a_plain_network_needs_no_judge():
    model, feeds = traced(Scaled(2.0))
    found = equality.compared(Scaled(2.0 + 1e-4), model, [feeds])
    assert (found.is_equal, found.words) == (True, "")
    assert found.allowed == equality.USUAL


def test_amplified_rounding_is_judged_by_float64():
    model, feeds = traced(Amplifying(3e4))
    found = equality.compared(Amplifying(3e4), model, [feeds])
    assert equality.USUAL < found.difference <= found.allowed <= equality.BOUND
    assert "in float64" in found.words


def test_a_fault_as_small_is_refused_where_nothing_amplifies():
    model, feeds = traced(Amplifying(1.0))
    reason = (
        rf"differs from its torch module by 0\.0018 .* in float64, of which torch's own float32 is .* off, 0\.0001 .*{FAULTS}"
    )
    with pytest.raises(ExportError, match=reason):
        equality.check_equal(Amplifying(1.002), model, feeds)


def test_the_operator_that_chooses_between_tied_scores_is_named():
    model, feeds = traced(Tied())
    with pytest.raises(ExportError, match=r"TopK \(\w+\) chooses between scores that tie but for rounding, .* trained weights"):
        equality.check_equal(Tied(), model, feeds)


def test_beyond_the_bound_amplified_rounding_is_refused_too():
    model, feeds = traced(Amplifying(1e7))
    with pytest.raises(ExportError, match="weights amplify rounding beyond use"):
        equality.check_equal(Amplifying(1e7), model, feeds)


def test_where_torch_does_not_run_in_float64_a_thousandth_is_allowed():
    model, feeds = traced(OnlyFloat32())
    assert equality.compared(nn.Sequential(OnlyFloat32(), Scaled(1.0005)), model, [feeds]).is_equal
    with pytest.raises(ExportError, match="torch does not run it in float64"):
        equality.check_equal(nn.Sequential(OnlyFloat32(), Scaled(1.002)), model, feeds)


def test_the_worst_of_several_inputs_counts():
    model, feeds = traced(nn.ReLU())
    (name,) = feeds
    positive, mixed = feeds, {name: feeds[name] - 0.5}
    assert equality.compared(nn.Identity(), model, [positive]).is_equal
    assert not equality.compared(nn.Identity(), model, [positive, mixed, positive]).is_equal


def test_nothing_stays_float64(residual_source):
    feeds = {residual_source.model.graph.inputs[0].name: residual_source.example_inputs[0]}
    other = nn.Sequential(residual_source.torch_module, Scaled(1.01))
    assert not equality.compared(other, residual_source.model, [feeds]).is_equal
    assert torch.get_default_dtype() == torch.float32
    assert {weight.dtype for weight in other.parameters()} == {torch.float32}
