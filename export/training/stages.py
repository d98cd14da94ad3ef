"""What moves the weights in a stage: the optimiser over the modules that learn, and its rate as the stage goes on."""

import math

import torch
from torch import nn

from isthmus.export.training.recipe import Schedule, Stage
from isthmus.export.training.student import Student

WARM_UP_SHARE = 0.1
"""Of a stage at most: recipes for days warm up for longer than a stage of minutes has steps."""


def optimiser(student: Student, stage: Stage) -> torch.optim.Optimizer:
    """A fresh optimiser for a stage that the student has entered."""
    asked = stage.optimiser
    groups = []
    for name in stage.trains:
        weights = [weight for part in student.parts(name) for weight in part.parameters() if weight.requires_grad]
        if weights:
            rate = asked.learning_rate * (asked.tail_rate if name == "tail" else 1.0)
            groups.append({"params": weights, "lr": rate, "full_rate": rate})
    if asked.kind == "sgd":
        return torch.optim.SGD(groups, momentum=asked.momentum, weight_decay=asked.weight_decay)
    kind = torch.optim.AdamW if asked.kind == "adamw" else torch.optim.Adam
    return kind(groups, weight_decay=asked.weight_decay)


def set_rate(moving: torch.optim.Optimizer, part: float) -> None:
    """Let every group move at a part of its full rate."""
    for group in moving.param_groups:
        group["lr"] = group["full_rate"] * part


def factor(schedule: Schedule, step: float, steps: float) -> float:
    """Part of the learning rate at a step of a stage.

    Args:
        schedule: of the stage.
        step: from 0.
        steps: that the stage has, at least 1.
    """
    place = step / steps
    warm_up = min(schedule.warm_up, WARM_UP_SHARE * steps)
    warmth = min(1.0, (step + 1) / (warm_up + 1))
    if schedule.kind == "cosine":
        return warmth * (schedule.end + (1 - schedule.end) * 0.5 * (1 + math.cos(math.pi * place)))
    if schedule.kind == "steps":
        passed = sum(place >= at for at in schedule.at)
        return float(warmth * schedule.factor**passed)
    return warmth


def trained(moving: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Every weight that an optimiser moves."""
    return [weight for group in moving.param_groups for weight in group["params"]]
