import sys

import pytest
import torch
from torch import nn

from isthmus.errors import ExportError, UsageError
from isthmus.export.training.pairs import pair
from isthmus.export.training.pairs.pair import Site

OWN = """
from torch import nn

def fitting(site):
    return nn.Conv2d(site.picture[0], site.channels, 8, 8), nn.ConvTranspose2d(site.channels, site.restored[0], 2, 2)

def wide(site):
    return nn.Conv2d(site.picture[0], site.channels + 1, 8, 8), nn.Identity()

def alone(site):
    return nn.Identity()

def failing(site):
    raise ValueError("no layers today")

def crossed(site):
    return nn.Conv2d(site.picture[0] + 1, site.channels, 8, 8), nn.Identity()
"""


def site(side=64, restored=(16, 8, 8), **changed):
    return Site(**{"picture": (3, side, side), "channels_last": False, "channels": 4, "restored": restored, **changed})


def shapes(made, given):
    encoder, decoder = (module.eval() for module in made)
    with torch.no_grad():
        codes = encoder(given)
        return tuple(codes.shape[1:]), tuple(decoder(codes).shape[1:])


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_pairs.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("own_pairs", None)


@pytest.mark.parametrize("name", pair.PAIRS)
def test_every_pair_restores_the_tensor_at_the_cut(name):
    codes, restored = shapes(pair.make(name, site()), torch.rand(2, 3, 64, 64))
    assert codes[0] == 4
    assert restored == (16, 8, 8)


@pytest.mark.parametrize("name", pair.PAIRS)
def test_every_pair_takes_pictures_with_their_channels_last(name):
    codes, restored = shapes(pair.make(name, site(channels_last=True)), torch.rand(2, 64, 64, 3))
    assert (codes[0], restored) == (4, (16, 8, 8))


@pytest.mark.parametrize(
    ("name", "restored", "grid"),
    [("bottlefit", (64, 28, 28), 29), ("entropic", (64, 56, 56), 55), ("ghnd", (64, 56, 56), 56), ("isthmus", (64, 14, 14), 14)],
)
def test_published_layers_give_the_published_sizes_and_need_no_resizing(name, restored, grid):
    encoder, decoder = pair.make(name, site(224, restored))
    codes, back = shapes((encoder, decoder), torch.rand(1, 3, 224, 224))
    assert (codes[1:], back) == ((grid, grid), restored)
    assert not isinstance(decoder, pair.Resized)


def test_an_own_pair_is_found_in_the_working_folder(own):
    made = pair.make("own_pairs:fitting", site(restored=(16, 16, 16)))
    assert shapes(made, torch.rand(1, 3, 64, 64)) == ((4, 8, 8), (16, 16, 16))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("own_pairs:wide", ExportError, r"the encoder gives \[5, 8, 8\] for a picture, codes are \[4, row, column\]"),
        ("own_pairs:alone", UsageError, r"gives Identity, not \(encoder, decoder\)"),
        ("own_pairs:failing", ExportError, "fails: ValueError: no layers today"),
        ("own_pairs:crossed", ExportError, r"the encoder does not take \[3, 64, 64\]"),
        ("own_pairs:missing", UsageError, "has no function 'missing'"),
        ("botlefit", UsageError, "no pair 'botlefit'; known: .*did you mean bottlefit"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused_in_one_line(own, name, error, message):
    with pytest.raises(error, match=message) as refused:
        pair.make(name, site())
    assert "\n" not in str(refused.value)


def test_a_decoder_of_other_channels_is_refused(own):
    with pytest.raises(ExportError, match=r"the decoder gives \[16, 16, 16\], the tensor at the cut is \[8, 16, 16\]"):
        pair._fitted("it", nn.Conv2d(3, 4, 8, 8), nn.ConvTranspose2d(4, 16, 2, 2), site(restored=(8, 16, 16)))
