"""MobileNetV2 (Sandler et al. 2018) with batch norms folded, of any width and depth, and thinner ones cut out of a trained one.

Stems, stages and the insides of blocks are groups of channels that stand or fall together: a residual adds the outputs of all
blocks of a stage, so these keep the same channels.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

PLAN = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Of each stage: expansion, channels, blocks, stride of the first block."""
STEM, LAST = 32, 1280
DIVISOR = 8
"""Widths are multiples of it, as in the paper's own code: kernels like them."""


class Inverted(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers = [_convolution(inputs, wide, 1)] if expansion != 1 else []
        layers += [_convolution(wide, wide, 3, stride, wide), nn.Conv2d(wide, outputs, 1)]
        self.conv = nn.Sequential(*layers)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """One map to another."""
        made: torch.Tensor = self.conv(value)
        return value + made if self.is_residual else made


class MobileNetV2(nn.Module):
    """Pictures to class scores.

    Args:
        classes: how many.
        width: times the channels of every layer; as in the paper the last one does not shrink with it.
        blocks: how many of the 17 there are; fewer is an early exit: the classifier stands behind them.
    """

    def __init__(self, classes: int = 1000, *, width: float = 1.0, blocks: int = 17) -> None:
        super().__init__()
        stem = scaled(STEM, width)
        features: list[nn.Module] = [_convolution(3, stem, 3, 2)]
        inputs = stem
        for expansion, channels, count, stride in PLAN:
            for index in range(count):
                outputs = scaled(channels, width)
                features.append(Inverted(inputs, outputs, expansion, stride if index == 0 else 1))
                inputs = outputs
        self.width, self.blocks, self.classes = width, blocks, classes
        features = features[: 1 + blocks]
        inputs = features[-1].conv[-1].out_channels  # type: ignore[union-attr, assignment, index]
        self.features = nn.Sequential(*features, _convolution(inputs, LAST, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(LAST, classes))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """float[batch, 3, row, column] -> float[batch, class]."""
        scores: torch.Tensor = self.classifier(self.features(picture).mean((2, 3)))
        return scores


def imagenet(data: Path) -> MobileNetV2:
    """Width 1.0 with ImageNet's weights out of the folder of data."""
    network = MobileNetV2()
    with np.load(data / "imagenet_mobilenetv2" / "mobilenetv2_imagenet_dequantised_bnfolded.npz", allow_pickle=False) as arrays:
        network.load_state_dict({name: torch.from_numpy(arrays[name].astype(np.float32)) for name in network.state_dict()})
    return network


def begin(network: MobileNetV2) -> MobileNetV2:
    """Weights to learn from nothing with (He et al. 2015): without batch norms, smaller ones would die away on the way."""
    for part in network.features:
        for layer in part.conv if isinstance(part, Inverted) else [part]:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            else:
                nn.init.kaiming_normal_(layer[0].weight)
    return network


def for_classes(network: MobileNetV2, classes: int) -> MobileNetV2:
    """The same with a fresh last layer for other classes; the network itself is changed."""
    layer = nn.Linear(LAST, classes)
    nn.init.normal_(layer.weight, 0, 0.01)
    nn.init.zeros_(layer.bias)
    network.classifier[1] = layer
    network.classes = classes
    return network


def reduced(network: MobileNetV2, *, width: float = 1.0, blocks: int = 17) -> MobileNetV2:
    """A thinner or shallower network that begins with what weighs most in a trained one of width 1.0 or less.

    In each group of channels those stay whose weights that make them are largest in sum of magnitudes (Li et al. 2017, "Pruning
    Filters for Efficient ConvNets"). Behind an early exit the last convolution begins anew.
    """
    small = MobileNetV2(network.classes, width=network.width * width, blocks=blocks)
    kept = torch.arange(3)
    stages = _stage_channels(network, small)
    _copy(network.features[0][0], small.features[0][0], kept, stages[0])  # type: ignore[index]
    kept = stages[0]
    for (place, old), new in zip(enumerate(network.features[1 : 1 + blocks]), small.features[1:], strict=False):
        kept = _copy_block(old, new, kept, stages[1 + place])  # type: ignore[arg-type]
    last_old, last_new = network.features[-1][0], small.features[-1][0]  # type: ignore[index]
    if blocks == network.blocks:
        _copy(last_old, last_new, kept, torch.arange(LAST))
        small.classifier[1].load_state_dict(network.classifier[1].state_dict())
    return small


def scaled(channels: int, width: float) -> int:
    """Channels at a width, a multiple of 8 that is at least 0.9 of what was asked.

    >>> scaled(32, 1.0), scaled(24, 0.5), scaled(16, 0.35)
    (32, 16, 8)
    """
    if width == 1.0:
        return channels
    rounded = max(DIVISOR, int(channels * width + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * channels * width else rounded


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups), nn.ReLU6())


def _stage_channels(network: MobileNetV2, small: MobileNetV2) -> list[torch.Tensor]:
    """Of stem and every block: the output channels that stay, the same ones within a stage."""
    counts = [small.features[0][0].out_channels, *(block.conv[-1].out_channels for block in small.features[1:-1])]  # type: ignore[index, union-attr]
    layers = [network.features[0][0], *(block.conv[-1] for block in network.features[1:-1])]  # type: ignore[index, union-attr]
    weights = [layer.weight.detach().abs().sum((1, 2, 3)) for layer in layers]  # type: ignore[union-attr, operator]
    starts = [0, 1, *(place for place in range(2, len(counts)) if not network.features[place].is_residual), len(counts)]
    found: list[torch.Tensor] = []
    for begin, end in pairwise(sorted(set(starts))):
        most = _largest(sum(weights[begin:end]), counts[begin])  # type: ignore[arg-type]
        found += [most] * (end - begin)
    return found


def _largest(weights: torch.Tensor, count: int) -> torch.Tensor:
    return weights.topk(count).indices.sort().values


def _copy_block(old: Inverted, new: Inverted, given: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    convolutions: Sequence[Sequence[nn.Conv2d]] = [
        [layer[0] if isinstance(layer, nn.Sequential) else layer for layer in block.conv] for block in (old, new)
    ]
    wide = given
    if len(convolutions[0]) == 3:
        filtering, narrowing = convolutions[0][1:]
        count = convolutions[1][0].out_channels
        weights = filtering.weight.detach().abs().sum((1, 2, 3)) * narrowing.weight.detach().abs().sum((0, 2, 3))
        wide = _largest(weights, count)
        _copy(convolutions[0][0], convolutions[1][0], given, wide)
    _copy(convolutions[0][-2], convolutions[1][-2], torch.arange(1), wide)
    _copy(convolutions[0][-1], convolutions[1][-1], wide, outputs)
    return outputs


def _copy(old: nn.Conv2d, new: nn.Conv2d, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
    with torch.no_grad():
        new.weight.copy_(old.weight[outputs][:, inputs])
        assert new.bias is not None
        assert old.bias is not None
        new.bias.copy_(old.bias[outputs])
