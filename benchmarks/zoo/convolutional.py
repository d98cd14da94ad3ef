"""Convolutional networks written here, because transformers has no class for them.

python -m isthmus cuts zoo.convolutional:densenet121      (from the folder `benchmarks`)
"""

import itertools

import torch
from torch import nn

from zoo.weights import Network, settle

CLASSES = 1000


def convolution(
    incoming: int, outgoing: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, active: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """Convolution, batch normalisation and, where given, an activation; `same` padding for odd kernels."""
    layers: list[nn.Module] = [
        nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outgoing),
    ]
    return nn.Sequential(*layers, *([] if active is None else [active()]))


class SqueezeExcite(nn.Module):
    """Scales channels by a hard sigmoid of their means (Hu et al. 2018, as in MobileNetV3, section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(8, (channels // 4 + 4) // 8 * 8)
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Same sizes out as in."""
        return features * self.scale(features)


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow; added to its input where the sizes allow (Howard et al. 2019, figure 4)."""

    def __init__(
        self, incoming: int, outgoing: int, *, kernel: int, wide: int, squeeze: bool, active: type[nn.Module], stride: int
    ) -> None:
        super().__init__()
        self.adds = stride == 1 and incoming == outgoing
        self.layers = nn.Sequential(
            *([] if wide == incoming else [convolution(incoming, wide, active=active)]),
            convolution(wide, wide, kernel, stride=stride, groups=wide, active=active),
            *([SqueezeExcite(wide)] if squeeze else []),
            convolution(wide, outgoing, active=None),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Rows and columns are divided by the stride."""
        found = self.layers(features)
        return features + found if self.adds else found


_RELU, _SWISH = nn.ReLU, nn.Hardswish
MOBILENET_V3_LARGE = (
    # kernel, widened, outgoing, squeeze-excite, activation, stride: Howard et al. 2019, table 1
    (3, 16, 16, False, _RELU, 1),
    (3, 64, 24, False, _RELU, 2),
    (3, 72, 24, False, _RELU, 1),
    (5, 72, 40, True, _RELU, 2),
    (5, 120, 40, True, _RELU, 1),
    (5, 120, 40, True, _RELU, 1),
    (3, 240, 80, False, _SWISH, 2),
    (3, 200, 80, False, _SWISH, 1),
    (3, 184, 80, False, _SWISH, 1),
    (3, 184, 80, False, _SWISH, 1),
    (3, 480, 112, True, _SWISH, 1),
    (3, 672, 112, True, _SWISH, 1),
    (5, 672, 160, True, _SWISH, 2),
    (5, 960, 160, True, _SWISH, 1),
    (5, 960, 160, True, _SWISH, 1),
)


def mobilenet_v3_large() -> Network:
    """MobileNetV3-Large, 224 pixels."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [convolution(3, 16, 3, stride=2, active=nn.Hardswish)]
    incoming = 16
    for kernel, wide, outgoing, squeeze, active, stride in MOBILENET_V3_LARGE:
        layers.append(
            InvertedResidual(incoming, outgoing, kernel=kernel, wide=wide, squeeze=squeeze, active=active, stride=stride)
        )
        incoming = outgoing
    layers += [convolution(incoming, 960, active=nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [nn.Linear(960, 1280), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1280, CLASSES)]
    return settle(nn.Sequential(*layers), torch.rand(2, 3, 224, 224))


class DenseLayer(nn.Module):
    """Adds `growth` channels to those it is given (Huang et al. 2017, the bottleneck form of section 3)."""

    def __init__(self, incoming: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(incoming),
            nn.ReLU(),
            nn.Conv2d(incoming, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The channels given, then the new ones."""
        return torch.cat([features, self.layers(features)], 1)


def densenet121() -> Network:
    """DenseNet-121, 224 pixels: blocks of 6, 12, 24 and 16 layers that each add 32 channels."""
    torch.manual_seed(0)
    channels, growth = 64, 32
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    for count in (6, 12, 24, 16):
        if len(layers) > 4:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
        layers += [DenseLayer(channels + index * growth, growth) for index in range(count)]
        channels += count * growth
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)]
    return settle(nn.Sequential(*layers), torch.rand(2, 3, 224, 224))


class UNet(nn.Module):
    """Four levels down and up with a skip at each (Ronneberger et al. 2015), with batch normalisation and padding."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(5)]
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList([self._double(3, channels), *(self._double(few, many) for few, many in pairs)])
        self.up = nn.ModuleList(nn.ConvTranspose2d(many, few, 2, 2) for few, many in reversed(pairs))
        self.joined = nn.ModuleList(self._double(many, few) for few, many in reversed(pairs))
        self.classify = nn.Conv2d(channels, 2, 1)

    @staticmethod
    def _double(incoming: int, outgoing: int) -> nn.Sequential:
        return nn.Sequential(convolution(incoming, outgoing, 3), convolution(outgoing, outgoing, 3))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scores of two classes at every pixel; rows and columns are multiples of 16."""
        skips: list[torch.Tensor] = []
        for level in self.down:
            features = level(nn.functional.max_pool2d(features, 2) if skips else features)
            skips.append(features)
        for widen, join, skip in zip(self.up, self.joined, reversed(skips[:-1]), strict=True):
            features = join(torch.cat([widen(features), skip], 1))
        return self.classify(features)


def unet() -> Network:
    """A U-Net for two classes, 128 pixels."""
    torch.manual_seed(0)
    return settle(UNet(), torch.rand(2, 3, 128, 128))
