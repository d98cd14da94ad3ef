"""The loss of every stage of a recipe."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.export.training.matching import Target
from isthmus.export.training.objective import Objective
from isthmus.export.training.recipe import Rate, Recipe, Stage
from isthmus.export.training.steering import Steering
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
        steering: of the weight of the tariff, where a number of bytes is to be met; None: the stages say it.
    """

    def __init__(
        self,
        recipe: Recipe,
        targets: Sequence[Sequence[Target]],
        variances: dict[str, float],
        objective: Objective,
        tariff: Tariff | None,
        steering: Steering | None = None,
    ) -> None:
        self._recipe = recipe
        self._targets = targets
        self._variances = variances
        self._objective = objective
        self._tariff = tariff
        self._steering = steering

    def of_stage(self, index: int, student: Student, batch: Batch) -> Tensor:
        """Loss of a stage on a batch, a scalar with gradients."""
        stage, targets = self._recipe.stages[index], self._targets[index]
        codes = student.codes(batch.pictures)
        names = [target.name for target in targets]
        found, answers = student.behind(student.restored(student.sent(codes)), names, answers=stage.answers is not None)
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
        if self._tariff is None or not self._tariff.is_set:
            return torch.zeros(())
        bits = self._tariff.bits(codes)
        if self._steering is None:
            return rate.weight * bits
        weight = self._steering.weight
        self._steering.saw(float(bits.detach()))
        return weight * bits

    def needs_tables(self, index: int, *, anew: bool) -> bool:
        """Whether a stage wants codes to learn tables from: the first ones, or others than it has."""
        rate = self._recipe.stages[index].rate
        asked = rate is not None and rate.by == "codec" and rate.weight > 0
        return asked and self._tariff is not None and (anew or not self._tariff.is_set)

    def renew(self, codes: Tensor) -> None:
        """Make the tariff that of these rounded codes of whole photos."""
        assert self._tariff is not None
        before = float(self._tariff.bits(codes))
        self._tariff.renew(codes)
        if self._steering is not None:
            self._steering.renewed(before, float(self._tariff.bits(codes)))

    @property
    def rate_weight(self) -> float | None:
        """What the weight has become where a number of bytes is to be met."""
        return None if self._steering is None else self._steering.weight

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "tariff": None if self._tariff is None else self._tariff.state(),
            "steering": None if self._steering is None else self._steering.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        if self._tariff is not None:
            self._tariff.restore(state["tariff"])
        if self._steering is not None:
            self._steering.restore(state["steering"])
