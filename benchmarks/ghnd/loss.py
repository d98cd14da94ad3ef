"""What a detector's raw answers shall be, by the unsplit network alone: no labels."""

from collections.abc import Sequence

import torch
from torch.nn import functional

EPSILON = 1e-5
"""Chances are kept so far from 0 and 1."""
BOX_WEIGHT = 1.0


def boxes(answers: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor], _labels: torch.Tensor | None) -> torch.Tensor:
    """Cross entropy of objectness and classes, and distance of the boxes, where the unsplit network sees something.

    Args:
        answers: of the split YOLOX, one float[batch, place, 4 + 1 + class]: shift, log size, objectness, classes.
        wanted: the same of the unsplit network.
    """
    found, told = answers[0].float(), wanted[0].float()
    seen = told[..., 4]
    things = seen.sum().clamp(min=1.0)
    objectness = _cross_entropy(found[..., 4], seen).sum()
    classes = (seen * _cross_entropy(found[..., 5:], told[..., 5:]).sum(-1)).sum()
    places = (seen * functional.smooth_l1_loss(found[..., :4], told[..., :4], reduction="none", beta=0.1).sum(-1)).sum()
    return (objectness + classes + BOX_WEIGHT * places) / things


def _cross_entropy(chance: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Beyond the entropy of what is wanted, so that it is zero where both agree."""
    found, told = chance.clamp(EPSILON, 1 - EPSILON), wanted.clamp(EPSILON, 1 - EPSILON)
    return told * (told / found).log() + (1 - told) * ((1 - told) / (1 - found)).log()
