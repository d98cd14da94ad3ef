"""Small networks for the harness itself: one that warms the torch door up, one to be refused, one that kills its process."""

import os

import torch
from torch import nn


def linear() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Two layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (torch.rand(2, 4),)


class Undecided(nn.Module):
    """Takes one of two ways by the content of its input."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Same sizes out as in."""
        return features.relu() if features.sum() > 0 else features.sigmoid()


def undecided() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A network whose control flow depends on data."""
    return Undecided(), (torch.rand(2, 4),)


def classifier() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Two convolutions on pictures of 32 x 32."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8, 5)), (torch.rand(2, 3, 32, 32),)


def dying() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Ends the process, as a library with a bug does."""
    os.abort()
