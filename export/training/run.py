"""A training at work: what a checkpoint holds, and how it moves on.

A budget in seconds becomes a number of steps before training, from the measured time of a step, and is lowered on the way where
the machine turns out slower. With a given number of steps nothing depends on the clock: a run that was interrupted and resumed
ends with the same weights as one that was not.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from isthmus.errors import Diverged
from isthmus.export.training import checkpoint as checkpoints
from isthmus.export.training import stages
from isthmus.export.training.crew import Crew
from isthmus.export.training.loss import Loss
from isthmus.export.training.pace import Pace, channels_last, fastest
from isthmus.export.training.settings import TrainingSettings
from isthmus.export.training.student import Student
from isthmus.export.training.tariff import RENEW_EVERY, spread
from isthmus.export.training.teacher import Batch, Teacher

CHECKPOINT_EVERY_S = 20.0
REPLAN_EVERY = 20
"""Steps between two looks at the clock."""
STEPS_MIN = 20
STEP_SEEDS = 1 << 32
"""Apart from each other the seeds of two runs, each of which gives every step its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where training stands; `loss` is None while the unsplit network is asked."""

    stage: str
    step: int
    steps: int
    loss: float | None


class Run:
    """Training state.

    Args:
        student: what is trained.
        teacher: what it learns from.
        loss: of every stage of the recipe.
        settings: recipe, time, seed.
        crew: the processes that train together.
        pictures: of all of them.
        checkpoint: file to write; None: none.
        started: `time.monotonic()` from which the budget counts.
    """

    def __init__(
        self,
        student: Student,
        teacher: Teacher,
        loss: Loss,
        settings: TrainingSettings,
        crew: Crew,
        pictures: int,
        checkpoint: Path | None,
        started: float,
    ) -> None:
        self.started = started
        self.crew = crew
        self.pictures = pictures
        self.student = channels_last(student).to(crew.device)
        self.teacher = teacher
        self.loss = loss
        self.settings = settings
        self.recipe = settings.resolved
        self.checkpoint = checkpoint
        self.step = 0
        self.steps = 0
        self.pace = Pace(threads=1, half_precision=False)
        self.losses: list[dict[str, float]] = []
        self._budget_s = settings.time_for(pictures)
        self._measured_at: float | None = None
        self._stage = -1
        self._optimiser: torch.optim.Optimizer | None = None

    def plan(self) -> None:
        """Find the fastest pace on a copy of the weights, and as many steps as the budget holds."""
        kept = copy.deepcopy(self.student.state_dict())
        step_s = 0.0
        for index, stage in enumerate(self.recipe.stages):
            self.student.enter(stage)
            self.pace = fastest(lambda way, index=index: self._trial(index, way))  # type: ignore[misc]
            step_s += stage.share * self.pace.step_s
        self.student.load_state_dict(kept)
        self.student.zero_grad(set_to_none=True)
        self.pace.apply()
        known = self.settings.steps_for(self.pictures)
        left_s = 0.0 if self._budget_s is None else self._budget_s - (time.monotonic() - self.started)
        self.steps = known or self.crew.agreed(max(STEPS_MIN, int(left_s / max(step_s, 1e-9))))

    def _trial(self, index: int, way: Pace) -> None:
        self.pace = way
        with way.autocast(self.crew.device):
            loss = self.loss.of_stage(index, self.student, self._batch())
        loss.backward()  # type: ignore[no-untyped-call]

    def train(self, on_progress: Callable[[Progress], None]) -> bool:
        """Take the remaining steps; True if Ctrl-C ended them early."""
        saved = time.monotonic()
        interrupted = False
        while self.step < self.steps:
            try:
                with checkpoints.untorn():
                    # One that stopped alone would leave the others waiting for it.
                    if self.crew.any(interrupted):
                        break
                    self._keep_budget()
                    loss = self._advance()
                name = self.recipe.stages[self._stage].name
                on_progress(Progress(stage=name, step=self.step, steps=self.steps, loss=loss))
                if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                    self._save()
                    saved = time.monotonic()
            except KeyboardInterrupt:
                interrupted = True
        self._settle()
        # Kept at the end too: who writes the bundle removes it once that is done.
        self._save()
        return self.crew.any(interrupted)

    def _settle(self) -> None:
        """What batch norms saw is the mean of what all processes showed them."""
        buffers = (*self.student.encoder.buffers(), *self.student.decoder.buffers())
        self.crew.average(one for one in buffers if one.is_floating_point())

    def _keep_budget(self) -> None:
        """Lower the number of steps where the last ones were slower than planned."""
        if self._budget_s is None or self.step % REPLAN_EVERY:
            return
        now = time.monotonic()
        if self._measured_at is not None:
            left_s = self._budget_s - (now - self.started)
            step_s = (now - self._measured_at) / REPLAN_EVERY
            steps = min(self.steps, max(self.step + REPLAN_EVERY, self.step + int(left_s / step_s)))
            self.steps = self.crew.agreed(steps)
        self._measured_at = now

    def _advance(self) -> float:
        index, place = self.recipe.stage_at(self.step / self.steps)
        stage = self.recipe.stages[index]
        moving = self._enter(index)
        stage_steps = max(1.0, stage.share * self.steps)
        stages.set_rate(moving, stages.factor(stage.schedule, place * stage_steps, stage_steps))
        # Noise of this step, whatever was drawn before it: a resumed run draws the same.
        torch.manual_seed(self.settings.seed * STEP_SEEDS + self.step)
        self._follow_codes(index)
        with self.pace.autocast(self.crew.device):
            loss = self.loss.of_stage(index, self.student, self._batch())
        moving.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.crew.average(weight.grad for weight in stages.trained(moving) if weight.grad is not None)
        if self.recipe.gradient_norm_max is not None:
            nn.utils.clip_grad_norm_(stages.trained(moving), self.recipe.gradient_norm_max)
        moving.step()
        value = self.crew.mean(float(loss.detach()))
        if not math.isfinite(value):
            raise Diverged(f"training diverged at step {self.step} (loss {value}); lower the learning rate")
        if self.step % max(1, self.steps // 50) == 0:
            self.losses.append({"step": self.step, "loss": round(value, 5)})
        self.step += 1
        return value

    def _enter(self, index: int) -> torch.optim.Optimizer:
        """The optimiser of a stage; a fresh one where the stage has just begun."""
        if self._optimiser is None or index != self._stage:
            self._stage = index
            self.student.enter(self.recipe.stages[index])
            self._optimiser = stages.optimiser(self.student, self.recipe.stages[index])
        return self._optimiser

    def _follow_codes(self, index: int) -> None:
        """Make the tariff that of the codes as they have become."""
        if not self.loss.needs_tables(index, anew=self.step % RENEW_EVERY == 0):
            return
        shown = self.teacher.batch(spread(len(self.teacher))).to(self.crew.device).pictures
        self.student.eval()
        with torch.no_grad():
            self.loss.renew(self.student.codes(shown))
        self.student.enter(self.recipe.stages[index])
        # Steps with a renewal among them do not tell the pace of the others.
        self._measured_at = None

    def _batch(self) -> Batch:
        """Samples of the step at hand: a fresh order and other views every epoch, which depend on seed and epoch alone."""
        count = len(self.teacher)
        size = min(max(1, self.recipe.batch // self.crew.size), count)
        epoch, place = divmod(self.step, count // size)
        random = np.random.default_rng((self.settings.seed, epoch))
        photos = random.permutation(count)[place * size : (place + 1) * size]
        views = random.integers(0, self.teacher.views, count)[photos]
        return self.teacher.batch(photos, views).to(self.crew.device)

    def _save(self) -> None:
        if self.checkpoint is None or not self.crew.is_first:
            return
        state: dict[str, Any] = {
            "student": _learned_state(self.student),
            "optimiser": None if self._optimiser is None else self._optimiser.state_dict(),
            "stage": self._stage,
            "step": self.step,
            "steps": self.steps,
            "views": self.teacher.views,
            "threads": self.pace.threads,
            "half_precision": self.pace.half_precision,
            "losses": self.losses,
            "loss": self.loss.state(),
        }
        checkpoints.write(self.checkpoint, state, made_for(self.settings, self.student.code_range, self.pictures))

    def restore(self, path: Path, state: dict[str, Any]) -> None:
        """Take up what a checkpoint holds.

        Raises:
            ExportError: it does not fit.
        """
        try:
            self.student.load_state_dict({**_frozen_state(self.student), **state["student"]})
            self.step, self.steps, self.losses = state["step"], state["steps"], state["losses"]
            if state["optimiser"] is not None:
                self._enter(state["stage"]).load_state_dict(state["optimiser"])
            self.loss.restore(state["loss"])
            self.pace = Pace(threads=state["threads"], half_precision=state["half_precision"])
        except Exception as error:  # a state that does not fit raises whatever it meets first
            raise checkpoints.refusal(path, str(error)) from error
        self.pace.apply()


def _frozen_state(student: Student) -> dict[str, torch.Tensor]:
    """What no training changes: the tail but for the weights that may be trained. It comes with the network."""
    learned = {name for name, _ in student.named_parameters()}
    return {name: value for name, value in student.state_dict().items() if name.startswith("tail.") and name not in learned}


def _learned_state(student: Student) -> dict[str, torch.Tensor]:
    frozen = _frozen_state(student)
    return {name: value for name, value in student.state_dict().items() if name not in frozen}


def made_for(settings: TrainingSettings, code_range: Sequence[int], pictures: int) -> dict[str, Any]:
    """What must be equal for a checkpoint to be of this training. The time may differ: the steps are fixed by now."""
    recipe = settings.resolved
    told = recipe.model_dump(mode="json", exclude={"stages", "about", "epochs", "channels", "bits"})
    stages_told = {f"stage {stage.name}": stage.model_dump_json() for stage in recipe.stages}
    bytes_told = {} if settings.target_bytes is None else {"target bytes": settings.target_bytes}
    teachers_told = {"teachers": settings.teachers} if settings.teachers else {}
    return {
        **told,
        **stages_told,
        **bytes_told,
        **teachers_told,
        "seed": settings.seed,
        "code range": tuple(code_range),
        "pictures": pictures,
    }
