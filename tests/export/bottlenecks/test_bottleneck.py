import numpy as np
import pytest
import torch
from torch import nn

from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export import gates
from isthmus.export.bottlenecks.bottleneck import from_modules
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.graph.session import Session, relative_difference
from isthmus.export.samples import Samples, prepared

LARGER = Preparation(width=16, height=16)
PICTURES = prepared(list(np.random.default_rng(2).integers(0, 256, (4, 16, 16, 3), np.uint8)), LARGER)


class Scaled(nn.Module):
    """Code units of the first channels."""

    def __init__(self, factor, channels):
        super().__init__()
        self.factor, self.channels = factor, channels

    def forward(self, value):
        return value[:, : self.channels] * self.factor


class Widened(nn.Module):
    """Every channel twice."""

    def forward(self, codes):
        return torch.cat([codes, codes], 1) / 20


def at(model, name):
    return split(model, cuts.find(cuts.enumerate(model), name))


def test_modules_at_the_cut_become_a_bottleneck(residual_source):
    halves = at(residual_source.model, "relu")
    bottleneck = from_modules(halves, Scaled(20.0, 4), Widened(), bits=5, signed=False)
    assert (bottleneck.shape, bottleneck.bits, bottleneck.signed) == ((4, 8, 8), 5, False)
    coded = assembled(halves, [bottleneck])
    assert not coded.replaces_head
    gates.same_when_quantised(coded, PICTURES)
    head, tail = Session(halves.head), Session(halves.tail)
    crossing = head.run({head.inputs[0]: PICTURES})["relu"]
    codes = np.clip(np.round(crossing[:, :4] * np.float32(20)), 0, 31)
    coded_head = Session(coded.head)
    np.testing.assert_array_equal(coded_head.run({coded_head.inputs[0]: PICTURES})["codes_0"], codes)
    want = tail.run({"relu": np.concatenate([codes, codes], 1).astype(np.float32) / 20})
    got = Session(coded.tail).run({"codes_0": codes.astype(np.uint8)})
    assert relative_difference(list(got.values()), list(want.values())) < 1e-5


def test_a_module_may_read_the_picture_in_place_of_the_head(residual_source):
    halves = at(residual_source.model, "relu")
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Tanh())
    coded = assembled(halves, [from_modules(halves, encoder, Widened(), bits=2, replaces_head=True)])
    assert coded.replaces_head
    assert Session(coded.head).inputs == Session(residual_source.model).inputs
    gates.same_when_quantised(coded, PICTURES)


def test_codes_of_a_quantised_network_are_restored_by_rounding(model_of):
    text = """n (float[batch, 3, 16, 16] x) => (float[batch, 3, 16, 16] y) <float scale = {0.1}, uint8 zero = {3}> {
        a = QuantizeLinear (x, scale, zero)
        y = DequantizeLinear (a, scale, zero)
    }"""
    halves = at(model_of(text), "a")
    coded = assembled(halves, [from_modules(halves, Scaled(1.0, 3), Tenths(), bits=8, signed=False)])
    codes = np.zeros((1, 3, 16, 16), np.uint8) + np.array([0, 26, 255], np.uint8)[:, None, None]
    answer = Session(coded.tail).run({"codes_0": codes})["y"]
    assert (answer[0, :, 0, 0] / 0.1 + 3).round(3).tolist() == [0, 13, 255]  # of -5, 12.7 and 280.5


class Tenths(nn.Module):
    """Values outside the range of a byte, and one between two."""

    def forward(self, codes):
        return codes * torch.tensor([1.0, 0.5, 1.1])[:, None, None] - torch.tensor([5.0, 0.3, 0.0])[:, None, None]


def test_modules_that_do_not_fit_are_refused_with_both_shapes(residual_source):
    halves = at(residual_source.model, "relu")
    with pytest.raises(ExportError, match=r"the decoder gives .*4,8,8.*, the tensor relu at the cut is .*8,8,8"):
        from_modules(halves, Scaled(20.0, 4), nn.Identity(), bits=4)
    with pytest.raises(ExportError, match=r"the encoder gives .*, codes are \[batch, channel, ...\]"):
        from_modules(halves, nn.Sequential(nn.Flatten(0), nn.ReLU()), nn.Identity(), bits=4)


def test_two_modules_do_for_one_tensor_only(residual_source):
    with pytest.raises(ExportError, match="a cut of one tensor, here 2 cross"):
        from_modules(at(residual_source.model, "add_30"), nn.Identity(), nn.Identity(), bits=4)


@pytest.mark.parametrize("count", [0, 2])
def test_every_tensor_is_restored_once(residual_source, count):
    halves = at(residual_source.model, "relu")
    bottleneck = from_modules(halves, Scaled(20.0, 4), Widened(), bits=4)
    with pytest.raises(ExportError, match="the tail takes relu, the bottlenecks restore"):
        assembled(halves, [bottleneck] * count)


def test_a_makers_bottlenecks_are_exported(networks, tmp_path):
    from isthmus.export.exporter import ExportSettings, export

    def make(halves, data, preparation):
        assert isinstance(data, Samples)
        assert (preparation.width, preparation.height) == (16, 16)
        return [from_modules(halves, Scaled(20.0, 4), Widened(), bits=4, signed=False)]

    np.savez(tmp_path / "some.npz", images=np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8))
    settings = ExportSettings(cut="relu", bottleneck=make, data=tmp_path / "some.npz", int8="off")
    manifest = export("networks:residual", tmp_path / "made", settings).bundle.manifest
    assert (manifest.bottleneck, manifest.cut.replaces_head, manifest.training) == ("own", False, None)
    assert [point.channels for point in manifest.points] == [(4,)]
