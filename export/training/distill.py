"""Train a learned bottleneck: the encoder and decoder learn to stand in for everything before the cut.

Two stages, as in generalised head network distillation and BottleFit (Matsubara et al. 2020, 2022), with the quantiser in
the loop:

1. *features*: the decoder's output against the teacher's tensor at the cut, squared error over the tensor's variance;
2. *distillation*: through the frozen tail, what the teacher answers (see `objective`: class probabilities at temperature 2
   and the labels where there are any, or its raw outputs), and the features at a lower weight. Where `rate_weight` is given,
   also what the codes cost (see `tariff`): accuracy is traded for bytes.

A budget in seconds becomes a number of steps before training, from the measured time of a step, and is lowered on the way where
the machine turns out slower. With a given number of steps nothing depends on the clock: a run that was interrupted and resumed
ends with the same weights as one that was not.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from isthmus.contract.boundary import CodeTensor
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.bottlenecks.convolutional import Decoder, Encoder, encoder_stride, round_straight_through
from isthmus.export.cutting.split import Halves
from isthmus.export.graph import precision
from isthmus.export.graph.flow import dimensions, name_of
from isthmus.export.samples import Samples
from isthmus.export.training import checkpoint as checkpoints
from isthmus.export.training.interpreter import OnnxModule
from isthmus.export.training.objective import Objective, objective
from isthmus.export.training.pace import Pace, channels_last, fastest
from isthmus.export.training.tariff import RENEW_EVERY, Tariff, spread
from isthmus.export.training.teacher import Teacher, teach

CHECKPOINT_EVERY_S = 20.0
REPLAN_EVERY = 20
"""Steps between two looks at the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """A recipe. The defaults are those of the pilot, scaled to minutes."""

    budget_s: float = 300.0
    """Wall time of both stages together; ignored where `steps` is given."""
    steps: int | None = None
    batch: int = 32
    learning_rate: float = 2e-3
    """Peak of AdamW's rate; warm-up over 50 steps, then a cosine to 3%."""
    weight_decay: float = 1e-4
    feature_share: float = 0.5
    """Part of the steps spent in the first stage."""
    temperature: float = 2.0
    label_weight: float = 0.3
    feature_weight: float = 0.3
    """Weight of the feature loss in the second stage."""
    rate_weight: float = 0.0
    """Weight in the second stage of the mean bits of a code, as the codec's tables would code it; 0 trains without."""
    gradient_norm_max: float = 2.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where training stands."""

    stage: str
    step: int
    steps: int
    loss: float


@dataclass(slots=True, kw_only=True)
class Learned:
    """A trained bottleneck, in eval mode."""

    encoder: Encoder
    decoder: Decoder
    grid: tuple[int, int]
    code_range: tuple[int, int]
    steps: int
    wall_s: float
    losses: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False


class _Student(nn.Module):
    def __init__(self, encoder: Encoder, decoder: Decoder, code_range: tuple[int, int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.code_range = code_range

    def codes(self, picture: torch.Tensor) -> torch.Tensor:
        """As they would be sent, float32."""
        return round_straight_through(self.encoder(picture).float(), *self.code_range)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes, and the tensor at the cut that the decoder makes of them."""
        codes = self.codes(picture)
        return codes, self.decoder(codes)


def learn(
    halves: Halves,
    samples: Samples,
    preparation: Preparation,
    *,
    channels: int,
    bits: int,
    settings: DistillSettings,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Learned:
    """Train a bottleneck for the cut at which `halves` were split.

    Args:
        halves: teacher head and tail; one float tensor [batch, channel, row, column] crosses between them.
        samples: training pictures; labels are used where they are known.
        preparation: how a picture becomes the teacher's input.
        channels: of the codes.
        bits: of a code, 1 to 8.
        settings: the recipe.
        checkpoint: file that training goes on from, written every 20 s and at an interruption; None: no checkpoints.
        resume: go on from `checkpoint` if it is there, with its number of steps and its pace.
        on_progress: called after every step.

    Returns:
        The trained modules. After Ctrl-C too: with what was learned so far and `interrupted` set.

    Raises:
        ExportError: the cut is not one picture-shaped tensor, the batch is fixed, there are fewer than 2 pictures, an operator
            of the tail cannot be trained through, the checkpoint is of another training, or the loss diverged.
    """
    started = time.monotonic()
    torch.manual_seed(settings.seed)
    shape = _feature_shape(halves)
    if len(samples) < 2:
        raise ExportError(f"training needs at least 2 pictures, got {len(samples)}; some hundred make a good result")
    tail = OnnxModule(precision.in_single(halves.tail)).eval().requires_grad_(requires_grad=False)
    teacher = teach(halves, samples, preparation)
    size = (preparation.height, preparation.width)
    stride = encoder_stride(size, shape[1:])
    is_last = preparation.layout == "nhwc"
    encoder = Encoder(preparation.channels, channels, stride, channels_last=is_last)
    with torch.no_grad():
        probe = encoder.eval()(torch.zeros(1, *((*size, preparation.channels) if is_last else (preparation.channels, *size))))
    grid = (int(probe.shape[2]), int(probe.shape[3]))
    code_range = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    student = _Student(encoder, Decoder(channels, grid, shape), code_range)
    goal = objective(teacher.outputs, samples, temperature=settings.temperature, label_weight=settings.label_weight)
    codes = CodeTensor(name="codes", shape=(channels, *grid), bits=bits)
    run = _Run(student, tail, teacher, goal, Tariff(codes) if settings.rate_weight else None, settings, checkpoint, started)
    run.prepare(resume=resume)
    interrupted = run.train(on_progress)
    student.eval()
    return Learned(
        encoder=student.encoder,
        decoder=student.decoder,
        grid=grid,
        code_range=code_range,
        steps=run.step,
        wall_s=time.monotonic() - started,
        losses=run.losses,
        interrupted=interrupted,
    )


def _feature_shape(halves: Halves) -> tuple[int, int, int]:
    crossing = halves.head.graph.outputs
    if len(crossing) != 1 or halves.auxiliary:
        names = ", ".join(name_of(value) for value in crossing)
        raise ExportError(
            f"a learned bottleneck needs a cut of one tensor, here {len(crossing)} cross ({names}); see `isthmus cuts`"
        )
    shape = dimensions(crossing[0])
    if shape is None or len(shape) != 4:
        raise ExportError(
            f"a learned bottleneck needs a tensor [batch, channel, row, column], "
            f"{name_of(crossing[0])} is {crossing[0].shape}; name another cut or use --bottleneck none"
        )
    given = halves.head.graph.inputs[0]
    if given.shape is not None and isinstance(given.shape[0], int):
        raise ExportError(
            f"a learned bottleneck trains on batches, {name_of(given)} is fixed to {given.shape}; export the network with a free "
            "batch, or use --bottleneck none"
        )
    return shape[1], shape[2], shape[3]


class _Run:
    """Training state: what a checkpoint holds, and how it moves on."""

    def __init__(
        self,
        student: _Student,
        tail: nn.Module,
        teacher: Teacher,
        goal: Objective,
        tariff: Tariff | None,
        settings: DistillSettings,
        checkpoint: Path | None,
        started: float,
    ) -> None:
        self.started = started
        self.student = channels_last(student)
        self.tail = tail
        self.teacher = teacher
        self.objective = goal
        self.tariff = tariff
        self.settings = settings
        self.checkpoint = checkpoint
        self.step = 0
        self.steps = 0
        self.measured_at: float | None = None
        self.pace = Pace(threads=1, half_precision=False)
        self.losses: list[dict[str, float]] = []
        self.optimizer = torch.optim.AdamW(student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def prepare(self, *, resume: bool) -> None:
        """Take up a checkpoint, or decide precision and number of steps."""
        if resume and self.checkpoint and self.checkpoint.exists():
            self._restore(self.checkpoint)
            return
        self._plan()

    def train(self, on_progress: Callable[[Progress], None]) -> bool:
        """Take the remaining steps; True if Ctrl-C ended them early."""
        saved = time.monotonic()
        try:
            while self.step < self.steps:
                stage = self._stage()
                self._keep_budget()
                with checkpoints.untorn():
                    loss = self._advance()
                on_progress(Progress(stage=stage, step=self.step, steps=self.steps, loss=loss))
                if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                    self._save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            self._save()
            return True
        # Kept at the end too: who writes the bundle removes it once that is done.
        self._save()
        return False

    def _keep_budget(self) -> None:
        """Lower the number of steps where the last ones were slower than planned."""
        if self.settings.steps is not None or self.step % REPLAN_EVERY:
            return
        now = time.monotonic()
        if self.measured_at is not None:
            left_s = self.settings.budget_s - (now - self.started)
            step_s = (now - self.measured_at) / REPLAN_EVERY
            self.steps = min(self.steps, max(self.step + REPLAN_EVERY, self.step + int(left_s / step_s)))
        self.measured_at = now

    def _stage(self) -> str:
        return "features" if self.step < self.steps * self.settings.feature_share else "distillation"

    def _advance(self) -> float:
        progress = self.step / self.steps
        rate = min(1.0, self.step / 50 + 0.02) * (0.485 * (1 + math.cos(math.pi * progress)) + 0.03)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * rate
        stage = self._stage()
        if stage == "distillation":
            self._follow_codes()
        loss = self._loss(stage, self._indices())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), self.settings.gradient_norm_max)
        self.optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ExportError(f"training diverged at step {self.step} (loss {value}); lower the learning rate")
        if self.step % max(1, self.steps // 50) == 0:
            self.losses.append({"step": self.step, "loss": round(value, 5)})
        self.step += 1
        return value

    def _follow_codes(self) -> None:
        """Make the tariff that of the codes as they have become."""
        if self.tariff is None or (self.tariff.is_set and self.step % RENEW_EVERY):
            return
        pictures, _ = self.teacher.batch(spread(len(self.teacher.pictures)))
        self.student.eval()
        with torch.no_grad():
            self.tariff.renew(self.student.codes(pictures))
        # Steps with a renewal among them do not tell the pace of the others.
        self.measured_at = None

    def _indices(self) -> np.ndarray:
        """Samples of the step at hand: a fresh order every epoch that depends on seed and epoch alone."""
        count = len(self.teacher.pictures)
        batch = min(self.settings.batch, count)
        per_epoch = count // batch
        epoch, place = divmod(self.step, per_epoch)
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(count)
        return order[place * batch : (place + 1) * batch]

    def _loss(self, stage: str, indices: np.ndarray) -> torch.Tensor:
        pictures, features = self.teacher.batch(indices)
        self.student.train()
        with self.pace.autocast():
            codes, restored = self.student(pictures)
            answers = _listed(self.tail(restored)) if stage == "distillation" else None
        matching = functional.mse_loss(restored.float(), features) / self.teacher.variance
        if answers is None:
            return matching
        loss = self.objective.loss(answers, torch.from_numpy(indices)) + self.settings.feature_weight * matching
        return loss if self.tariff is None else loss + self.settings.rate_weight * self.tariff.bits(codes)

    def _plan(self) -> None:
        """Find the fastest pace on a copy of the weights, and as many steps as the budget holds."""
        kept = copy.deepcopy(self.student.state_dict())
        features = fastest(lambda way: self._trial("features", way))
        distillation = fastest(lambda way: self._trial("distillation", way))
        self.student.load_state_dict(kept)
        self.student.zero_grad(set_to_none=True)
        self.pace = distillation
        self.pace.apply()
        share = self.settings.feature_share
        step_s = share * features.step_s + (1 - share) * distillation.step_s
        self.steps = self.settings.steps or max(20, int((self.settings.budget_s - (time.monotonic() - self.started)) / step_s))

    def _trial(self, stage: str, way: Pace) -> None:
        self.pace = way
        self._loss(stage, self._indices()).backward()  # type: ignore[no-untyped-call]

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        state: dict[str, Any] = {
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "steps": self.steps,
            "threads": self.pace.threads,
            "half_precision": self.pace.half_precision,
            "losses": self.losses,
            "tariff": None if self.tariff is None else self.tariff.state(),
        }
        checkpoints.write(self.checkpoint, state, self._made_for())

    def _made_for(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to be of this training. The budget may differ: the steps are fixed by now."""
        recipe = {name: value for name, value in asdict(self.settings).items() if name not in ("budget_s", "steps")}
        return {**recipe, "code range": self.student.code_range, "pictures": len(self.teacher.pictures)}

    def _restore(self, path: Path) -> None:
        state = checkpoints.read(path, self._made_for())
        try:
            self.student.load_state_dict(state["student"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.steps, self.losses = state["step"], state["steps"], state["losses"]
            if self.tariff is not None:
                self.tariff.restore(state["tariff"])
            self.pace = Pace(threads=state["threads"], half_precision=state["half_precision"])
        except Exception as error:  # a state that does not fit raises whatever it meets first
            raise checkpoints.refusal(path, str(error)) from error
        self.pace.apply()


def _listed(answer: torch.Tensor | Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    return (answer,) if isinstance(answer, torch.Tensor) else answer
