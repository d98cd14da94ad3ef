"""The pair of the split YOLOX-nano: an encoder that begins as the network's own first layers, a decoder on the server.

A recipe names it as `benchmarks.ghnd.pair:pair`. The first layers (up to the stride of 8, where the third dark stage begins) come
with their weights: an hour of distillation on some thousand pictures would not find them again. Only what narrows is new, at a
grid of a sixteenth of the picture: 676 cells of 416x416 pixels.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from isthmus.export.bottlenecks.convolutional import GAIN_START
from isthmus.export.training.pairs.pair import Site

MODEL = "ISTHMUS_GHND_MODEL"
"""Environment variable with the path of the network, whose first layers the encoder takes."""
WIDTH = 80
"""Of the decoder: about as much work for the server as the tail."""


class Convolution(nn.Module):
    """A convolution of YOLOX with its batch norm folded in, and SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.weight: torch.Tensor
        self.bias: torch.Tensor
        # Buffers, no parameters: they keep their values, and nothing is computed backwards through them.
        self.register_buffer("weight", torch.zeros(outputs, inputs // groups, kernel, kernel))
        self.register_buffer("bias", torch.zeros(outputs))
        self.stride, self.padding, self.groups = stride, kernel // 2, groups

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """float32[batch, inputs, row, column] -> float32[batch, outputs, row / stride, column / stride]."""
        shown = functional.conv2d(value, self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        return functional.silu(shown)


class FirstLayers(nn.Module):
    """YOLOX-nano from the picture to 64 channels at a stride of 8, in the order of its weights in the ONNX file."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(12, 16, 3)
        self.down2 = nn.Sequential(Convolution(16, 16, 3, 2, 16), Convolution(16, 32, 1))
        self.main = Convolution(32, 16, 1)
        self.side = Convolution(32, 16, 1)
        self.inner = nn.Sequential(Convolution(16, 16, 1), Convolution(16, 16, 3, 1, 16), Convolution(16, 16, 1))
        self.joined = Convolution(32, 32, 1)
        self.down3 = nn.Sequential(Convolution(32, 32, 3, 2, 32), Convolution(32, 64, 1))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """float32[batch, 3, row, column] -> float32[batch, 64, row / 8, column / 8]."""
        quarters = [picture[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        value = self.down2(self.stem(torch.cat(quarters, 1)))
        main = self.main(value)
        return self.down3(self.joined(torch.cat((main + self.inner(main), self.side(value)), 1)))

    def load(self, weights: Iterator[np.ndarray]) -> None:
        """Take weight and bias of each convolution, in order."""
        for buffer in self.buffers():
            buffer.copy_(torch.from_numpy(next(weights).copy()))


def _normal(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()
    )


class Encoder(nn.Module):
    """float32[batch, 3, row, column] pictures of 0 to 255 -> code units float32[batch, channels, row / 16, column / 16]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = FirstLayers()
        self.narrow = nn.Sequential(
            nn.Conv2d(64, 128, 3, 2, 1, groups=64, bias=False),
            nn.BatchNorm2d(128),
            nn.SiLU(),
            _normal(128, 64, 1),
            _normal(64, 64, 3, groups=64),
            nn.Conv2d(64, channels, 1, bias=False),
        )
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Parameter(torch.full((1, channels, 1, 1), GAIN_START))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Codes before clamp and round."""
        return self.normalise(self.narrow(self.first(picture))) * self.gain


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_normal(width, width, 3), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value + self.body(value)


class Decoder(nn.Module):
    """Codes as float32[batch, channels, row, column] -> float32[batch, restored, 2 row, 2 column]."""

    def __init__(self, channels: int, restored: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 1 / GAIN_START))
        self.coarse = nn.Sequential(_normal(channels, WIDTH, 3), _Residual(WIDTH), _Residual(WIDTH))
        self.grow = nn.Sequential(nn.Conv2d(WIDTH, 4 * restored, 1), nn.PixelShuffle(2))
        self.fine = nn.Sequential(_normal(restored, restored, 3), nn.Conv2d(restored, restored, 1))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """The tensor that the tail goes on with."""
        grown = self.grow(self.coarse(codes * self.scale))
        return grown + self.fine(grown)


def pair(site: Site) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder for the tensor behind the third dark stage of YOLOX-nano, 64 channels at a stride of 8."""
    encoder = Encoder(site.channels)
    model = onnx.load(Path(os.environ[MODEL]))
    known = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    encoder.first.load(known[name] for node in convolutions for name in node.input[1:])
    return encoder, Decoder(site.channels, site.restored[0])
