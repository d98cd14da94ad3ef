"""The modules of a learned bottleneck: an encoder that replaces all before a cut, a decoder that restores the tensor there.

The encoder is a plain strided convolution stack, as in head network distillation (Matsubara et al. 2019, "Distilled Split Deep
Neural Networks for Edge-Assisted Real-Time Systems") and BottleFit (Matsubara et al. 2022), but the quantiser is in the training
loop: the last batch norm has no affine part, a learned gain scales it to code units, then clamp and round with a straight-through
gradient (Bengio et al. 2013). One step is one code, so the scale at the boundary is 1 and the decoder learns the rest. Other
modules plug in the same way, see `export.bottlenecks.bottleneck`.
"""

import itertools
import math

import torch
from torch import nn

from isthmus.errors import ExportError

ENCODER_WIDTHS = (16, 32, 48, 96, 128)
"""Channels after each stride-2 convolution; the widths of the pilot's head of 39 MMAC at 224 pixels."""
STRIDES = (4, 8, 16, 32)
DECODER_WIDTHS = (32, 128)
"""The decoder is twice as wide as the tensor it restores, between these: wider, it would cost the server more than the tail."""
GAIN_START = 2.5
"""Standard deviation of the codes at the start: with 4 bits a normal variable then uses the whole range and clips 0.2%."""


def convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Encoder(nn.Module):
    """float32[batch, input channel, row, column] -> code units float32[batch, channels, row / stride, column / stride].

    Args:
        input_channels: of the prepared picture.
        channels: of the codes.
        stride: a power of two, 4 to 32.
        channels_last: the picture is float32[batch, row, column, input channel].

    Raises:
        ExportError: the stride is not one of these.
    """

    def __init__(self, input_channels: int, channels: int, stride: int, *, channels_last: bool = False) -> None:
        super().__init__()
        steps = stride.bit_length() - 1
        if stride not in STRIDES:
            raise ExportError(f"a learned bottleneck has a stride of 4, 8, 16 or 32, not {stride}; name another cut")
        self.channels_last = channels_last
        widths = (input_channels, *ENCODER_WIDTHS[:steps])
        self.body = nn.Sequential(*(convolution(a, b, stride=2) for a, b in itertools.pairwise(widths)))
        self.narrow = nn.Conv2d(widths[-1], channels, 1, bias=False)
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Parameter(torch.full((1, channels, 1, 1), GAIN_START))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Codes before clamp and round."""
        if self.channels_last:
            picture = picture.permute(0, 3, 1, 2)
        codes: torch.Tensor = self.normalise(self.narrow(self.body(picture))) * self.gain
        return codes


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        restored: torch.Tensor = value + self.second(self.first(value))
        return restored


class Decoder(nn.Module):
    """Codes as float32[batch, channels, row, column] -> the tensor at the cut, float32[batch, *shape].

    Args:
        channels: of the codes.
        grid: rows and columns of the codes.
        shape: channel, row, column of the tensor at the cut.
    """

    def __init__(self, channels: int, grid: tuple[int, int], shape: tuple[int, int, int]) -> None:
        super().__init__()
        narrowest, widest = DECODER_WIDTHS
        width = min(widest, max(narrowest, 2 * shape[0]))
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 1.0 / GAIN_START))
        self.widen = convolution(channels, width)
        self.resize: nn.Module = nn.Identity() if grid == shape[1:] else nn.Upsample(size=shape[1:], mode="bilinear")
        self.body = nn.Sequential(_Residual(width), _Residual(width), nn.Conv2d(width, shape[0], 1))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """The tensor that the tail goes on with."""
        restored: torch.Tensor = self.body(self.resize(self.widen(codes * self.scale)))
        return restored


def round_straight_through(codes: torch.Tensor, lowest: int, highest: int) -> torch.Tensor:
    """Clamp and round; the gradient passes the rounding unchanged and stops at the clamp."""
    clamped = codes.clamp(lowest, highest)
    return clamped + (clamped.round() - clamped).detach()


def encoder_stride(input_size: tuple[int, int], cut_size: tuple[int, int]) -> int:
    """The power-of-two stride whose grid is nearest to that of the cut, at least 4.

    >>> encoder_stride((224, 224), (14, 14))
    16
    """
    ratio = math.sqrt((input_size[0] / cut_size[0]) * (input_size[1] / cut_size[1]))
    return min(32, max(4, 1 << round(math.log2(max(ratio, 1.0)))))
