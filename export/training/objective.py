"""What training asks of the answers behind the tail.

A classifier's chances are distilled at a temperature (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"), with
the labels where there are any. Outputs of any other kind (boxes, maps, several tensors) are no chances: they shall come out as
they were, in squared error over their variance and without labels, as generalised head network distillation has it for feature
maps (Matsubara and Levorato 2020, "Neural Compression and Filtering for Edge-assisted Real-time Object Detection").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from isthmus.export.samples import Samples
from isthmus.export.training.recipe import Answers
from isthmus.export.training.teacher import SEEN, VARIANCE_MIN, Batch

OwnLoss = Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor], torch.Tensor | None], torch.Tensor]
"""Answers of the split and of the unsplit network, float[batch, ...] each, and int64[batch] labels where they are known -> a
scalar with gradients."""


class Objective(Protocol):
    """Measures how far answers are from the unsplit network's."""

    def loss(self, answers: Sequence[torch.Tensor], batch: Batch, asked: Answers) -> torch.Tensor:
        """Distance as a scalar with gradients.

        Args:
            answers: the outputs of the tail in order, float[batch, ...].
            batch: what they answer, and what the unsplit network said.
            asked: weights.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassScores:
    """For a classifier.

    Attributes:
        labels: int64[sample], or None where they are not known.
    """

    labels: torch.Tensor | None

    def loss(self, answers: Sequence[torch.Tensor], batch: Batch, asked: Answers) -> torch.Tensor:
        """Kullback-Leibler divergence of the chances, and cross entropy of the labels."""
        answered, heat = answers[0].float(), asked.temperature
        student, teacher = answered / heat, batch.answers[0].float() / heat
        loss = functional.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean") * heat**2 * asked.distillation
        if self.labels is not None and asked.labels:
            wanted = self.labels[batch.photos].to(answered.device)
            loss = loss + asked.labels * functional.cross_entropy(answered, wanted, label_smoothing=asked.smoothing)
        return loss


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawOutputs:
    """For everything else.

    Attributes:
        variances: of each output that is a float, by its place among them, see `variance`.
    """

    variances: dict[int, torch.Tensor]

    @classmethod
    def of(cls, outputs: Sequence[torch.Tensor]) -> "RawOutputs":
        """Take some outputs of each kind, float[sample, ...]; those that are no floats teach nothing and are left out."""
        return cls(variances={place: variance(value) for place, value in enumerate(outputs) if value.is_floating_point()})

    def loss(self, answers: Sequence[torch.Tensor], batch: Batch, asked: Answers) -> torch.Tensor:
        """Mean over the outputs of the squared error over the variance."""
        found = [
            ((answers[place].float() - batch.answers[place].float()).square() / varying.to(answers[place].device)).mean()
            for place, varying in self.variances.items()
        ]
        return asked.distillation * torch.stack(found).mean() if found else torch.zeros(())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WithOwn:
    """An objective, and losses of the user beside it.

    Attributes:
        objective: of the network.
        labels: int64[sample], or None where they are not known.
        losses: of the user, by the name that a recipe calls them.
    """

    objective: Objective
    labels: torch.Tensor | None
    losses: dict[str, OwnLoss]

    def loss(self, answers: Sequence[torch.Tensor], batch: Batch, asked: Answers) -> torch.Tensor:
        """The sum of both."""
        loss = self.objective.loss(answers, batch, asked)
        if not asked.own:
            return loss
        labels = None if self.labels is None else self.labels[batch.photos].to(answers[0].device)
        return loss + asked.own_weight * self.losses[asked.own]([one.float() for one in answers], batch.answers, labels)


def objective(outputs: Sequence[torch.Tensor], samples: Samples) -> Objective:
    """The objective for a network that gives `outputs` for some samples: one of [sample, class] makes it a classifier."""
    labels = known_labels(outputs, samples)
    return ClassScores(labels=labels) if _are_scores(outputs) else RawOutputs.of(outputs)


def known_labels(outputs: Sequence[torch.Tensor], samples: Samples) -> torch.Tensor | None:
    """int64[sample] labels of a classifier's pictures; None where they are not known, or for any other network."""
    labels = samples.classes((), outputs[0].shape[1]) if _are_scores(outputs) else None
    return None if labels is None else torch.from_numpy(labels)


def _are_scores(outputs: Sequence[torch.Tensor]) -> bool:
    first = outputs[0]
    return len(outputs) == 1 and first.ndim == 2 and first.shape[1] > 1 and first.is_floating_point()


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
