"""The networks whose cuts are measured: MobileNetV2 for ImageNet, ResNet-56 for CIFAR-10, the detector FastestDet."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.mobilenet import imagenet
from torch import nn
from torch.nn import functional

from isthmus.contract.prepare import Preparation

DATA = Path(os.environ.get("ISTHMUS_DATA", "../shared/data"))
CONFIDENT = 0.3
"""Score from which a cell of the detector counts as an object."""


def same_class(answers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """1 where the largest of float[n, class] stands where it does in `wanted`, or at the class int[n]; else 0."""
    truth = wanted if wanted.ndim == 1 else wanted.argmax(1)
    found: np.ndarray = (answers.argmax(1) == truth).astype(float)
    return found


def same_cells(answers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """F1 of the confident cells of float[n, 85, row, column] with their classes; 1 where both have none."""
    scores = []
    for one, other in zip(map(_cells, answers), map(_cells, wanted), strict=True):
        scores.append(2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0)
    return np.array(scores)


def _cells(answer: np.ndarray) -> set[tuple[int, int, int]]:
    score = answer[0] ** 0.6 * answer[5:].max(0) ** 0.4
    classes = answer[5:].argmax(0)
    return {(int(row), int(column), int(classes[row, column])) for row, column in np.argwhere(score > CONFIDENT)}


@dataclass(frozen=True, slots=True)
class Known:
    """A network and what its answers are judged by.

    Attributes:
        reference: what `isthmus export` would be given.
        preparation: of its input.
        score: 0 to 1 for each of two lists of answers.
        judged: what a score means, in words.
    """

    reference: str
    preparation: Preparation
    score: Callable[[np.ndarray, np.ndarray], np.ndarray]
    judged: str


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NETWORKS = {
    "MobileNetV2": Known(
        "benchmarks.codec.networks:mobilenet_v2",
        Preparation(width=224, height=224, fit="crop", mean=MEAN, standard_deviation=DEVIATION),
        same_class,
        "the class of the whole network",
    ),
    "ResNet-56": Known(
        "benchmarks.codec.networks:resnet_56",
        Preparation(width=32, height=32, mean=MEAN, standard_deviation=DEVIATION),
        same_class,
        "the label",
    ),
    "FastestDet": Known(
        str(DATA / "detectors" / "FastestDet__FastestDet.onnx"),
        Preparation(width=352, height=352, colour="bgr"),
        same_cells,
        "F1 of the cells that the whole network finds something in",
    ),
}


def mobilenet_v2() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """MobileNetV2 1.0 at 224 pixels."""
    return imagenet(DATA), (torch.zeros(2, 3, 224, 224),)


class _Basic(nn.Module):
    """Basic block of a CIFAR ResNet (He et al. 2016), shortcut A."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride = 1 if inputs == outputs else 2
        self.added = (outputs - inputs) // 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        made = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(value)))))
        if self.added:
            value = functional.pad(value[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))
        return functional.relu(value + made)


class ResNet(nn.Module):
    """Of He et al. 2015 for CIFAR-10, with so many blocks in each of three stages; shortcuts without weights."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = [16] * (blocks + 1), [16] + [32] * blocks, [32] + [64] * blocks
        stages = [nn.Sequential(*(_Basic(a, b) for a, b in itertools.pairwise(row))) for row in widths]
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, 10)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """float32[batch, 10] scores of float32[batch, 3, 32, 32]."""
        value = functional.relu(self.bn1(self.conv1(picture)))
        value = self.layer3(self.layer2(self.layer1(value)))
        scores: torch.Tensor = self.linear(value.mean((2, 3)))
        return scores


def resnet_56() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """ResNet-56 for CIFAR-10."""
    network = ResNet(9)
    (path,) = (DATA / "cifar10_resnet_weights").glob("resnet56-*.th")
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    return network, (torch.zeros(2, 3, 32, 32),)
