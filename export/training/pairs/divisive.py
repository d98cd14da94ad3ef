"""Generalised divisive normalisation, in the form with magnitudes that the Entropic Student uses.

Balle et al. 2016, "Density Modeling of Images Using a Generalized Normalization Transformation"; without squares: Johnston et al.
2019, "Computationally Efficient Neural Image Compression".
"""

import torch
from torch import nn
from torch.nn import functional

OFFSET_MIN = 1e-6
GAMMA_START = 0.1
"""Of a channel on itself; on others a thousandth, for the square root that is learned has no slope at nothing."""


class DivisiveNormalisation(nn.Module):
    """y_i = x_i / (offset_i + sum_j gamma_ij |x_j|), or times the same where `inverse`.

    Args:
        channels: of the map.
        inverse: multiply instead of divide, as decoders do.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        # Square roots are learned, so that their squares stay positive.
        self.offset = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter((GAMMA_START * torch.eye(channels)).clamp(min=GAMMA_START / 1000).sqrt())

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """float32[batch, channel, row, column] normalised by its neighbours in other channels."""
        norm = functional.conv2d(value.abs(), self.gamma.square()[:, :, None, None], self.offset.square() + OFFSET_MIN)
        return value * norm if self.inverse else value / norm
