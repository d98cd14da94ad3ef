"""Training of whole networks: the teacher on labels, and every rival of the split on what the teacher says and on labels.

All see the same views of the same photos equally often, those that the recipe `isthmus` shows its bottleneck. A run is told in
epochs, not in seconds: on a machine that others use too, who trains at the better hour must not win.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.headline.predictions import ask
from benchmarks.mobilenet import MobileNetV2
from torch import nn
from torch.nn import functional

from isthmus.contract.prepare import Preparation, prepare
from isthmus.export.training import checkpoint as checkpoints
from isthmus.export.training import recipe as recipes
from isthmus.export.training.pace import Pace, channels_last, fastest
from isthmus.export.training.views import shown

CHECKPOINT_EVERY_S = 60.0
TOLD_EVERY_S = 1.0
WARM_UP = 50
"""Steps until the learning rate is full."""
GRADIENT_NORM_MAX = 5.0
TEMPERATURE = 2.0
"""Of distillation, as in the recipe `isthmus`."""
SMOOTHING = 0.1
"""Of the labels, from which the teacher learns."""
RATE_END = 0.02
"""What a cosine leaves of the learning rate."""

Degrade = Callable[[np.ndarray, int, int], np.ndarray]
"""What becomes of a view on its way to the network: uint8[row, column, 3], photo, number of the view -> the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One training.

    Attributes:
        epochs: how often every photo is seen.
        learning_rate: of all layers but the last.
        last_rate: of the last layer, over that.
        frozen: how many of the first parts of `features` keep their weights.
        batch: photos in a step.
        seed: of the order.
    """

    epochs: float
    learning_rate: float = 3e-4
    last_rate: float = 1.0
    frozen: int = 0
    batch: int = 32
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What is shown, and what is to be said.

    Attributes:
        pictures: photos, uint8[row, column, 3] BGR.
        labels: int64[n].
        preparation: of a photo for the teacher.
        shown: of a view for the network that learns.
        targets: float32[view, n, class], what the teacher says to each view; None: labels alone.
        degrade: see `Degrade`.
        views: of each photo; those of the recipe `isthmus`, but where labels teach.
    """

    pictures: Sequence[np.ndarray]
    labels: np.ndarray
    preparation: Preparation
    shown: Preparation
    targets: np.ndarray | None = None
    degrade: Degrade = lambda picture, _photo, _number: picture
    views: recipes.Views = field(default_factory=lambda: views())

    def view(self, photo: int, number: int) -> np.ndarray:
        """float32[1, 3, row, column]: a view as the network that learns gets it."""
        return prepare(self.degrade(self.seen(photo, number), photo, number), self.shown)

    def seen(self, photo: int, number: int) -> np.ndarray:
        """uint8[row, column, 3]: a view as the teacher gets it; 0 is the photo as it is prepared."""
        return shown(self.pictures, photo, number, self.views, self.preparation, seed=0)


def views() -> recipes.Views:
    """The views that the recipe `isthmus` shows."""
    return recipes.load("isthmus").views


def targets(model: Path, lesson: Lesson, tell: Callable[[float], None]) -> np.ndarray:
    """float32[view, n, class]: what the teacher says to each view of each photo."""
    count = lesson.views.count
    said = []
    for number in range(count):
        pictures = [lesson.seen(photo, number) for photo in range(len(lesson.pictures))]
        said.append(ask(model, pictures, lesson.preparation, lambda part, number=number: tell((number + part) / count)))  # type: ignore[misc]
    return np.stack(said)


def train(network: MobileNetV2, lesson: Lesson, fit: Fit, checkpoint: Path, tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Train a network in place, from a checkpoint where there is one.

    Returns:
        What was done, for the record.
    """
    run = _Run(network, lesson, fit, checkpoint)
    run.restore()
    facts = run.train(tell)
    network.eval()
    return facts


class _Run:
    def __init__(self, network: MobileNetV2, lesson: Lesson, fit: Fit, checkpoint: Path) -> None:
        self.network = channels_last(network)
        self.lesson, self.fit, self.checkpoint = lesson, fit, checkpoint
        for part in network.features[: fit.frozen]:
            part.requires_grad_(False)
        body = [weight for weight in network.features.parameters() if weight.requires_grad]
        groups = [
            {"params": body, "lr": fit.learning_rate, "full": fit.learning_rate},
            {
                "params": list(network.classifier.parameters()),
                "lr": fit.learning_rate,
                "full": fit.learning_rate * fit.last_rate,
            },
        ]
        self.trained = [weight for group in groups for weight in group["params"]]  # type: ignore[attr-defined]
        self.moving = torch.optim.AdamW(groups, weight_decay=1e-2)
        self.in_epoch = max(1, len(lesson.labels) // fit.batch)
        self.steps = max(1, round(fit.epochs * self.in_epoch))
        self.step = 0
        self.pace = Pace(threads=1, half_precision=False)

    @property
    def _made_for(self) -> dict[str, Any]:
        return {**asdict(self.fit), "photos": len(self.lesson.labels)}

    def restore(self) -> None:
        if not self.checkpoint.exists():
            return
        state = checkpoints.read(self.checkpoint, self._made_for)
        self.network.load_state_dict(state["network"])
        self.moving.load_state_dict(state["moving"])
        self.step = state["step"]

    def _save(self) -> None:
        state = {"network": self.network.state_dict(), "moving": self.moving.state_dict(), "step": self.step}
        checkpoints.write(self.checkpoint, state, self._made_for)

    def train(self, tell: Callable[[float, str], None]) -> dict[str, Any]:
        self.network.train()
        self.pace = fastest(self._trial)
        self.network.zero_grad(set_to_none=True)
        saved = told = time.monotonic()
        loss = math.nan
        try:
            while self.step < self.steps:
                with checkpoints.untorn():
                    loss = self._advance()
                now = time.monotonic()
                if now - told >= TOLD_EVERY_S:
                    tell(self.step / self.steps, f"epoch {self.step / self.in_epoch:.1f} of {self.fit.epochs:g}, loss {loss:.3f}")
                    told = now
                if now - saved > CHECKPOINT_EVERY_S:
                    self._save()
                    saved = now
        finally:
            self._save()
        return {"steps": self.steps, "epochs": self.fit.epochs, "loss": loss}

    def _trial(self, way: Pace) -> None:
        self.pace = way
        self._loss().backward()  # type: ignore[no-untyped-call]

    def _advance(self) -> float:
        factor = min(1.0, (self.step + 1) / WARM_UP) * self._cosine()
        for group in self.moving.param_groups:
            group["lr"] = group["full"] * factor
        torch.manual_seed(self.fit.seed * (1 << 32) + self.step)
        loss = self._loss()
        self.moving.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained, GRADIENT_NORM_MAX)
        self.moving.step()
        self.step += 1
        return float(loss.detach())

    def _cosine(self) -> float:
        return RATE_END + (1 - RATE_END) * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))

    def _loss(self) -> torch.Tensor:
        photos, numbers, pictures = self._batch()
        with self.pace.autocast():
            scores = self.network(pictures)
        scores = scores.float()
        if self.lesson.targets is None:
            return functional.cross_entropy(scores, torch.from_numpy(self.lesson.labels[photos]), label_smoothing=SMOOTHING)
        wanted = torch.from_numpy(self.lesson.targets[numbers, photos])
        apart = functional.kl_div((scores / TEMPERATURE).log_softmax(1), (wanted / TEMPERATURE).softmax(1), reduction="batchmean")
        return apart * TEMPERATURE**2

    def _batch(self) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
        """A fresh order and other views every epoch, which depend on seed and epoch alone, as in the exporter's training."""
        lesson, count = self.lesson, len(self.lesson.labels)
        epoch, place = divmod(self.step, self.in_epoch)
        random = np.random.default_rng((self.fit.seed, epoch))
        photos = random.permutation(count)[place * self.fit.batch : (place + 1) * self.fit.batch]
        numbers = random.integers(0, lesson.views.count, count)[photos]
        shown = [lesson.view(int(photo), int(number)) for photo, number in zip(photos, numbers, strict=True)]
        pictures = torch.from_numpy(np.concatenate(shown)).contiguous(memory_format=torch.channels_last)
        return photos, numbers, pictures
