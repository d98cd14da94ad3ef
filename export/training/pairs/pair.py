"""A pair of modules to be trained: the encoder stands in for everything before the cut, the decoder restores the tensor there."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from isthmus.errors import ExportError, UsageError
from isthmus.export.bottlenecks import convolutional
from isthmus.export.doors.factory import function_of
from isthmus.export.training.pairs import published


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a pair stands between.

    Attributes:
        picture: channel, row, column of the prepared picture.
        channels_last: pictures come as float32[batch, row, column, channel].
        channels: of the codes.
        restored: channel, row, column of the tensor at the cut.
    """

    picture: tuple[int, int, int]
    channels_last: bool
    channels: int
    restored: tuple[int, int, int]


Pair = tuple[nn.Module, nn.Module]
"""Encoder: float32[batch, channel, row, column] pictures -> code units, float32[batch, channels, row, column], not rounded.
Decoder: codes as float32 -> float32[batch, *restored]."""


class ChannelsFirst(nn.Module):
    """An encoder for pictures that come with their channels last."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Code units of float32[batch, row, column, channel]."""
        units: torch.Tensor = self.encoder(picture.permute(0, 3, 1, 2))
        return units


class Resized(nn.Module):
    """A decoder whose map is brought to the size of the one at the cut, where the published layers do not end at it."""

    def __init__(self, decoder: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.decoder = decoder
        self.resize = nn.Upsample(size=size, mode="bilinear")

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """The tensor at the cut."""
        restored: torch.Tensor = self.resize(self.decoder(codes))
        return restored


def _own(site: Site) -> Pair:
    stride = convolutional.encoder_stride(site.picture[1:], site.restored[1:])
    encoder = convolutional.Encoder(site.picture[0], site.channels, stride)
    grid = _grid(encoder, site)
    return encoder, convolutional.Decoder(site.channels, grid, site.restored)


def _bottlefit(site: Site) -> Pair:
    encoder = published.bottlefit_encoder(site.picture[0], site.channels)
    return encoder, published.bottlefit_decoder(site.channels, site.restored[0])


def _ghnd(site: Site) -> Pair:
    encoder = published.ghnd_encoder(site.picture[0], site.channels)
    return encoder, published.ghnd_decoder(site.channels, site.restored[0])


def _entropic(site: Site) -> Pair:
    encoder = published.entropic_encoder(site.picture[0], site.channels)
    return encoder, published.entropic_decoder(site.channels, site.restored[0])


PAIRS: dict[str, Callable[[Site], Pair]] = {"isthmus": _own, "bottlefit": _bottlefit, "ghnd": _ghnd, "entropic": _entropic}


def make(name: str, site: Site) -> Pair:
    """The pair that a recipe names, with fresh weights.

    Args:
        name: of `PAIRS`, or `package.module:function` of a function that takes a `Site` and gives an encoder and a decoder.
        site: what they stand between.

    Raises:
        UsageError: there is no such pair or function, or it gives something else than two modules.
        ExportError: the function fails, or the pair does not fit the network.
    """
    if name in PAIRS:
        encoder, decoder = PAIRS[name](site)
    elif ":" in name:
        encoder, decoder = _of_function(name, site)
    else:
        close = difflib.get_close_matches(name, PAIRS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"there is no pair {name!r}; known: {', '.join(PAIRS)}, or package.module:function{hint}")
    return _fitted(name, encoder, decoder, site)


def _of_function(name: str, site: Site) -> Pair:
    function = function_of(name)
    try:
        made = function(site)
    except Exception as reason:
        raise ExportError(f"{name}() fails: {type(reason).__name__}: {reason}") from reason
    if not isinstance(made, tuple) or len(made) != 2 or not all(isinstance(one, nn.Module) for one in made):
        raise UsageError(f"{name}() gives {type(made).__name__}, not (encoder, decoder), two torch.nn.Module")
    return made


def _fitted(name: str, encoder: nn.Module, decoder: nn.Module, site: Site) -> Pair:
    """Checked against the network, with whatever brings pictures and maps into the shapes that both ends have."""
    channels, *_ = units = _shape(name, "encoder", encoder, site.picture)
    if len(units) != 3 or channels != site.channels:
        raise ExportError(f"pair {name}: the encoder gives {list(units)} for a picture, codes are [{site.channels}, row, column]")
    restored = _shape(name, "decoder", decoder, units)
    if len(restored) != 3 or restored[0] != site.restored[0]:
        raise ExportError(f"pair {name}: the decoder gives {list(restored)}, the tensor at the cut is {list(site.restored)}")
    if restored != site.restored:
        decoder = Resized(decoder, site.restored[1:])
    return (ChannelsFirst(encoder) if site.channels_last else encoder), decoder


def _shape(name: str, side: str, module: nn.Module, given: tuple[int, ...]) -> tuple[int, ...]:
    was_training = module.training
    try:
        with torch.no_grad():
            found = module.eval()(torch.zeros(1, *given))
    except Exception as reason:  # whatever the layers of a user raise
        words = str(reason).strip().splitlines() or [type(reason).__name__]
        raise ExportError(f"pair {name}: the {side} does not take {list(given)}: {words[0]}") from reason
    module.train(was_training)
    return tuple(found.shape[1:])


def _grid(encoder: nn.Module, site: Site) -> tuple[int, int]:
    rows, columns = _shape("isthmus", "encoder", encoder, site.picture)[1:]
    return rows, columns
