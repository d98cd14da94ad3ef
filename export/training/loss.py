"""The loss of every stage of a recipe."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.export.training.matching import Target
from isthmus.export.training.objective import Objective
from isthmus.export.training.recipe import Rate, Recipe, Stage
from isthmus.export.training.student import Student
from isthmus.export.training.tariff import Tariff
from isthmus.export.training.teacher import Batch


class Loss:
    """What is asked of the split network, stage by stage.

    Args:
        recipe: whose stages.
        targets: of each stage, the tensors to match.
        variances: of these tensors by their names.
        objective: of the answers.
        tariff: what codes cost by the codec's tables, where a stage asks for it.
    """

    def __init__(
        self,
        recipe: Recipe,
        targets: Sequence[Sequence[Target]],
        variances: dict[str, float],
        objective: Objective,
        tariff: Tariff | None,
    ) -> None:
        self._recipe = recipe
        self._targets = targets
        self._variances = variances
        self._objective = objective
        self._tariff = tariff

    def of_stage(self, index: int, student: Student, batch: Batch) -> Tensor:
        """Loss of a stage on a batch, a scalar with gradients."""
        stage, targets = self._recipe.stages[index], self._targets[index]
        codes = student.codes(batch.pictures)
        names = [target.name for target in targets]
        found, answers = student.behind(student.restored(codes), names, answers=stage.answers is not None)
        loss = torch.zeros(())
        for target in targets:
            loss = loss + target.weight * self._error(stage, target.name, found[target.name], batch)
        if stage.answers is not None:
            loss = loss + self._objective.loss(answers, batch, stage.answers)
        return loss if stage.rate is None else loss + self._cost(stage.rate, student, codes)

    def _error(self, stage: Stage, name: str, found: Tensor, batch: Batch) -> Tensor:
        wanted = batch.features[name]
        if stage.error == "sum":
            return functional.mse_loss(found.float(), wanted, reduction="sum")
        return functional.mse_loss(found.float(), wanted) / self._variances[name]

    def _cost(self, rate: Rate, student: Student, codes: Tensor) -> Tensor:
        if rate.by == "prior":
            assert student.prior is not None
            return rate.weight * student.prior.bits(codes).sum()
        return torch.zeros(()) if self._tariff is None else rate.weight * self._tariff.bits(codes)

    def tariff_of(self, index: int) -> Tariff | None:
        """The tariff, where a stage asks for it."""
        rate = self._recipe.stages[index].rate
        return self._tariff if rate is not None and rate.by == "codec" and rate.weight else None

    def state(self) -> Tensor | None:
        """For a checkpoint."""
        return None if self._tariff is None else self._tariff.state()

    def restore(self, state: Tensor | None) -> None:
        """Go on from a checkpoint."""
        if self._tariff is not None:
            self._tariff.restore(state)
