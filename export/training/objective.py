"""What the second stage of training asks of the answers behind the frozen tail.

A classifier's chances are distilled at a temperature (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"), with
the labels where there are any. Outputs of any other kind (boxes, maps, several tensors) are no chances: they shall come out as
they were, in squared error over their variance and without labels, as generalised head network distillation has it for feature
maps (Matsubara and Levorato 2020, "Neural Compression and Filtering for Edge-assisted Real-time Object Detection").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from isthmus.export.samples import Samples

SEEN = 512
"""Answers from which variances are taken."""
VARIANCE_MIN = 1e-6
"""What never varies, as the chance of a class that no picture shows, must not weigh without bound."""


class Objective(Protocol):
    """Measures how far answers are from the unsplit network's."""

    def loss(self, answers: Sequence[torch.Tensor], indices: torch.Tensor) -> torch.Tensor:
        """Distance as a scalar with gradients.

        Args:
            answers: the outputs of the tail in order, float[batch, ...].
            indices: int64[batch], of which samples.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassScores:
    """For a classifier.

    Attributes:
        scores: float32[sample, class] of the unsplit network.
        labels: int64[sample], or None where they are not known.
        temperature: of both distributions.
        label_weight: of the labels beside the chances.
    """

    scores: torch.Tensor
    labels: torch.Tensor | None
    temperature: float
    label_weight: float

    def loss(self, answers: Sequence[torch.Tensor], indices: torch.Tensor) -> torch.Tensor:
        """Kullback-Leibler divergence of the chances, and cross entropy of the labels."""
        answered = answers[0].float()
        student, teacher = answered / self.temperature, self.scores[indices] / self.temperature
        loss = functional.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean") * self.temperature**2
        if self.labels is not None:
            loss = loss + self.label_weight * functional.cross_entropy(answered, self.labels[indices])
        return loss


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawOutputs:
    """For everything else.

    Attributes:
        outputs: of the unsplit network, float[sample, ...] each, by their place among its outputs.
        variances: of each output, see `variance`.
    """

    outputs: dict[int, torch.Tensor]
    variances: dict[int, torch.Tensor]

    @classmethod
    def of(cls, outputs: Sequence[torch.Tensor]) -> "RawOutputs":
        """Take the outputs of all samples; those that are no floats teach nothing and are left out."""
        floats = {place: compact(value) for place, value in enumerate(outputs) if value.is_floating_point()}
        return cls(outputs=floats, variances={place: variance(value) for place, value in floats.items()})

    def loss(self, answers: Sequence[torch.Tensor], indices: torch.Tensor) -> torch.Tensor:
        """Mean over the outputs of the squared error over the variance."""
        found = [
            ((answers[place].float() - wanted[indices].float()).square() / self.variances[place]).mean()
            for place, wanted in self.outputs.items()
        ]
        return torch.stack(found).mean() if found else torch.zeros(())


def objective(outputs: Sequence[torch.Tensor], samples: Samples, *, temperature: float, label_weight: float) -> Objective:
    """The objective for a network that gives `outputs` for all samples: one of [sample, class] makes it a classifier."""
    if len(outputs) > 1 or outputs[0].ndim != 2 or outputs[0].shape[1] < 2 or not outputs[0].is_floating_point():
        return RawOutputs.of(outputs)
    labels = samples.classes((), outputs[0].shape[1])
    return ClassScores(
        scores=outputs[0].float(),
        labels=None if labels is None else torch.from_numpy(labels),
        temperature=temperature,
        label_weight=label_weight,
    )


def variance(outputs: torch.Tensor) -> torch.Tensor:
    """Variance over the samples, along the axis on which it differs most and averaged over all others.

    A detector's output holds pixels and chances side by side, along one axis or another: one figure for all would forget the
    chances.

    Args:
        outputs: float[sample, ...].

    Returns:
        float32, to be broadcast against `outputs`.
    """
    each = outputs[:SEEN].float().var(0, correction=0, keepdim=True)
    axes = range(1, each.ndim)
    along = [each.mean([other for other in axes if other != axis], keepdim=True) if each.ndim > 2 else each for axis in axes]
    floored = [one + VARIANCE_MIN for one in along]
    return max(floored, key=lambda one: float(one.log().std(correction=0)), default=each + VARIANCE_MIN)


def compact(values: torch.Tensor) -> torch.Tensor:
    """As float16 where all values fit, which halves the memory and changes nothing at the weight of a training target."""
    return values.half() if float(values.abs().max()) < torch.finfo(torch.float16).max else values
