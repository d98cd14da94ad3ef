"""Encoders and decoders as they were published, layer by layer; each stands where its paper has it, in other networks too.

* BottleFit (Matsubara et al. 2022, "BottleFit: Learning Compressed Representations in Deep Neural Networks for Effective and
  Efficient Split Computing"), 'ver 2', of ResNet-152: replaces everything up to its second layer, stride 8.
* GHND (Matsubara and Levorato 2020, "Neural Compression and Filtering for Edge-assisted Real-time Object Detection in
  Challenged Networks"), of R-CNN detectors on ResNet-50: replaces the first layer, stride 4. The paper keeps the network's stem
  before it; here the stem is of the same layers and is trained along.
* Entropic Student (Matsubara et al. 2022, "Supervised Compression for Resource-Constrained Edge Computing Systems"), of
  ResNet-50: replaces everything up to the first layer, stride 4.
"""

from torch import nn

from isthmus.export.training.pairs.divisive import DivisiveNormalisation


def _normalised(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()]


def _small(inputs: int, outputs: int, *, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    """The 2x2 convolutions of all three papers; one without padding makes the map a pixel smaller."""
    return nn.Conv2d(inputs, outputs, 2, stride, padding, bias=False)


def bottlefit_encoder(picture_channels: int, channels: int) -> nn.Module:
    """A picture of 224 x 224 becomes codes of 29 x 29."""
    return nn.Sequential(
        nn.Conv2d(picture_channels, 64, 7, 2, 3, bias=False),
        *_normalised(64),
        nn.MaxPool2d(3, 2, 1),
        *_normalised(64),
        _small(64, channels, stride=2, padding=1),
    )


def bottlefit_decoder(channels: int, restored: int) -> nn.Module:
    """Codes of 29 x 29 become a map of 28 x 28."""
    return nn.Sequential(
        *_normalised(channels),
        _small(channels, restored, padding=1),
        *_normalised(restored),
        _small(restored, restored, padding=1),
        *_normalised(restored),
        _small(restored, restored),
        *_normalised(restored),
        _small(restored, restored),
        nn.AvgPool2d(2, 1),
    )


def ghnd_encoder(picture_channels: int, channels: int) -> nn.Module:
    """A stem like that of a ResNet, then the published encoder: stride 4, two pixels more by two paddings, two fewer without."""
    return nn.Sequential(
        nn.Conv2d(picture_channels, 64, 7, 2, 3, bias=False),
        *_normalised(64),
        nn.MaxPool2d(3, 2, 1),
        _small(64, 64, padding=1),
        nn.BatchNorm2d(64),
        _small(64, 256, padding=1),
        *_normalised(256),
        _small(256, 64),
        nn.BatchNorm2d(64),
        _small(64, channels),
    )


def ghnd_decoder(channels: int, restored: int) -> nn.Module:
    """Codes become a map of as many pixels: the 2x2 convolutions are padded in turns."""
    return nn.Sequential(
        *_normalised(channels),
        _small(channels, 64, padding=1),
        nn.BatchNorm2d(64),
        _small(64, 128, padding=1),
        *_normalised(128),
        _small(128, 256),
        nn.BatchNorm2d(256),
        _small(256, restored),
        *_normalised(restored),
    )


def entropic_encoder(picture_channels: int, channels: int) -> nn.Module:
    """A picture of 224 x 224 becomes codes of 55 x 55."""
    return nn.Sequential(
        nn.Conv2d(picture_channels, 4 * channels, 5, 2, 2, bias=False),
        DivisiveNormalisation(4 * channels),
        nn.Conv2d(4 * channels, 2 * channels, 5, 2, 2, bias=False),
        DivisiveNormalisation(2 * channels),
        _small(2 * channels, channels),
    )


def entropic_decoder(channels: int, restored: int) -> nn.Module:
    """Codes of 55 x 55 become a map of 56 x 56."""
    return nn.Sequential(
        _small(channels, 2 * restored, padding=1),
        DivisiveNormalisation(2 * restored, inverse=True),
        _small(2 * restored, restored),
        DivisiveNormalisation(restored, inverse=True),
        _small(restored, restored, padding=1),
    )
