"""A small convolutional classifier and its training: the teacher of the demo, for whoever brings pictures but no network."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from torch import nn
from torch.nn import functional

from isthmus.contract.metric import Metric, proportion
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.doors import equality, tracing
from isthmus.export.graph.flow import dimensions
from isthmus.export.samples import Samples, prepared
from isthmus.export.training.pace import Pace, channels_last, fastest

WIDTHS = (16, 32, 64, 96)


class _Block(nn.Module):
    """Stride-2 convolution, then a residual pair."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        value = self.down(value)
        return functional.relu(value + self.body(value))


class Classifier(nn.Module):
    """float32[batch, channel, row, column] -> class scores float32[batch, class]; four stages of stride 2."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        # At full resolution a residual pair would cost as much as all that follows.
        stem = nn.Sequential(nn.Conv2d(channels, WIDTHS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
        self.stages = nn.Sequential(stem, *(_Block(a, b) for a, b in itertools.pairwise(WIDTHS)))
        self.scores = nn.Linear(WIDTHS[-1], classes)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Class scores (logits). The mean and the largest value over the grid are added: a small thing must not drown."""
        features = self.stages(picture)
        scores: torch.Tensor = self.scores(features.mean((2, 3)) + features.amax((2, 3)))
        return scores


def train_classifier(
    samples: Samples,
    preparation: Preparation,
    *,
    steps: int = 500,
    batch: int = 32,
    learning_rate: float = 3e-3,
    seed: int = 0,
    on_progress: Callable[[float, float], None] = lambda _share, _loss: None,
) -> Classifier:
    """Train a classifier from scratch.

    Args:
        samples: labelled pictures.
        preparation: how a picture becomes the input.
        steps: a number and not a time, so that a slow machine gets as good a network.
        batch: pictures in a step.
        learning_rate: peak of AdamW's one-cycle rate.
        seed: of weights and order.
        on_progress: called after every step with the share of the steps that are taken, and the loss.

    Raises:
        ExportError: the samples carry no labels, or only one class.
    """
    if samples.labels is None or len(samples.names) < 2:
        raise ExportError(f"a classifier needs pictures of at least two classes; {samples.origin} has {len(samples.names)}")
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    model = channels_last(Classifier(preparation.channels, len(samples.names))).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2)
    inputs = torch.from_numpy(prepared(samples.pictures, preparation)).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(samples.labels)
    pace = fastest(lambda way: _loss(model, inputs[:batch], labels[:batch], way).backward())  # type: ignore[no-untyped-call]
    for step in range(steps):
        share = (step + 1) / steps
        rate = min(1.0, share / 0.1) * (0.5 * (1 + math.cos(math.pi * share)) + 0.01)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate
        chosen = torch.from_numpy(order.integers(0, len(samples), batch))
        loss = _loss(model, _shifted(inputs[chosen], order), labels[chosen], pace)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        on_progress(share, float(loss.detach()))
    return model.eval()


def _loss(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, pace: Pace) -> torch.Tensor:
    with pace.autocast():
        scores = model(inputs)
    return functional.cross_entropy(scores.float(), labels, label_smoothing=0.05)


def _shifted(inputs: torch.Tensor, order: np.random.Generator) -> torch.Tensor:
    """The batch moved by up to a sixteenth in both directions, what leaves on one side comes in on the other: cheap variety."""
    down, right = (int(order.integers(-(size // 16), size // 16 + 1)) for size in inputs.shape[2:])
    return torch.roll(inputs, (down, right), (2, 3))


def accuracy(model: nn.Module, samples: Samples, preparation: Preparation) -> Metric:
    """Top-1 accuracy with its interval.

    Raises:
        ExportError: the samples carry no labels.
    """
    if samples.labels is None:
        raise ExportError(f"{samples.origin} has no labels to compare with")
    right = 0
    for start in range(0, len(samples), 64):
        with torch.no_grad():
            scores = model(torch.from_numpy(prepared(samples.pictures[start : start + 64], preparation)))
        right += int((scores.argmax(1).numpy() == samples.labels[start : start + 64]).sum())
    return proportion("accuracy", right, len(samples))


def write_onnx(model: Classifier, preparation: Preparation, path: Path) -> None:
    """Write the classifier as ONNX, checked against torch; the outputs of the stages are named `stage1` to `stage4`.

    Raises:
        ExportError: torch cannot export it, or the ONNX differs.
    """
    stages: list[torch.Tensor] = []
    example = torch.rand(2, *preparation.shape[1:], generator=torch.Generator().manual_seed(0))
    exported = tracing.to_onnx(model, (example,))
    equality.check_equal(model, exported.model, exported.feeds)
    with torch.no_grad():
        value = example
        for stage in model.stages:
            value = stage(value)
            stages.append(value)
    _name_stages(exported.model, [tuple(stage.shape[1:]) for stage in stages])
    exported.model.graph.inputs[0].name = "picture"
    exported.model.graph.outputs[0].name = "scores"
    ir.save(exported.model, path)


def _name_stages(model: ir.Model, shapes: list[tuple[int, ...]]) -> None:
    """Call the last ReLU of each shape `stage<n>`, so that a cut can be named without reading the graph."""
    last = {dimensions(node.outputs[0], batch=1): node.outputs[0] for node in model.graph if node.op_type == "Relu"}
    for number, shape in enumerate(shapes, start=1):
        last[(1, *shape)].name = f"stage{number}"
