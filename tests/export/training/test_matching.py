import pytest
import torch
from torch import nn

from isthmus.errors import UsageError
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.doors import tracing
from isthmus.export.training import matching
from isthmus.export.training.recipe import Matched


class Inverted(nn.Module):
    """An expansion to four times the channels, then a stride or a residual sum."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.wide = nn.Conv2d(inputs, 4 * inputs, 1)
        self.deep = nn.Conv2d(4 * inputs, 4 * inputs, 3, stride, 1, groups=4 * inputs)
        self.narrow = nn.Conv2d(4 * inputs, outputs, 1)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, value):
        made = self.narrow(torch.relu(self.deep(torch.relu(self.wide(value)))))
        return made + value if self.is_residual else made


class Ladder(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), Inverted(8, 8, 1), Inverted(8, 12, 1), Inverted(12, 16, 2), Inverted(16, 16, 1), nn.ReLU()
        )
        self.scores = nn.Linear(16, 3)

    def forward(self, picture):
        return self.scores(self.blocks(picture).mean((2, 3)))


@pytest.fixture(scope="module")
def ladder():
    torch.manual_seed(0)
    return tracing.to_onnx(Ladder().eval(), (torch.rand(2, 3, 16, 16),)).model


@pytest.fixture(scope="module")
def tail(ladder):
    return split(ladder, cuts.find(cuts.enumerate(ladder), "0")).tail


def shapes(tail, names):
    values = {value.name: value for node in tail.graph for value in node.outputs}
    return [tuple(values[name].shape[1:]) for name in names]


def test_a_resolution_ends_at_its_last_narrow_tensor(tail):
    found = matching.levels(tail)
    assert shapes(tail, found) == [(12, 8, 8), (16, 4, 4)]
    producers = {value.name: node.op_type for node in tail.graph for value in node.outputs}
    assert [producers[name] for name in found] == ["Conv", "Relu"]


def test_a_network_that_goes_up_again_has_ended_its_resolutions(model_of):
    text = """
    n (float[batch, 3, 8, 8] x) => (float[batch, 4, 8, 8] y) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        b = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
        c = Relu (b)
        e = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]> (c, w2, b2)
        y = Add (e, a)
    }
    """
    model = model_of(text)
    tail = split(model, cuts.find(cuts.enumerate(model), "a")).tail
    assert matching.levels(tail) == ["c"]


def test_a_selector_is_the_cut_a_part_of_the_work_or_a_name(tail):
    name = matching.levels(tail)[0]
    given = tail.graph.inputs[0].name
    half = matching.targets(tail, [Matched(at="50%")])[0].name
    assert [one.name for one in matching.targets(tail, [Matched(at="cut")])] == [given]
    assert [one.name for one in matching.targets(tail, [Matched(at=name)])] == [name]
    assert half in {cut.tensors[0] for cut in cuts.enumerate(tail)}


def test_a_tensor_that_two_selectors_name_counts_as_the_first_says(tail):
    name = matching.levels(tail)[0]
    found = matching.targets(tail, [Matched(at=name, weight=0.5), Matched(at="levels", weight=2.0)])
    assert [(one.weight) for one in found] == [0.5, 2.0]


def test_an_unknown_tensor_is_named(tail):
    with pytest.raises(UsageError, match="features at 'nowhere' of the recipe: no tensor or node 'nowhere'"):
        matching.targets(tail, [Matched(at="nowhere")])
