"""Train a learned bottleneck: encoder and decoder learn to stand in for everything before the cut, as a recipe says.

The recipes differ in stages and losses (`recipe`), in the modules (`pairs`), and in whether codes are rounded while they learn
(`student`); the time, the order of the pictures and what survives an interruption are the same for all (`run`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir
import torch
from torch import nn

from isthmus.contract.boundary import CodeTensor
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError, UsageError
from isthmus.export.bottlenecks import points
from isthmus.export.bottlenecks.quantizer import calibrate, code_range
from isthmus.export.cutting.split import Halves
from isthmus.export.doors.factory import function_of
from isthmus.export.graph import precision
from isthmus.export.graph.flow import dimensions, name_of
from isthmus.export.samples import Samples
from isthmus.export.training import checkpoint as checkpoints
from isthmus.export.training import crew as crews
from isthmus.export.training import matching, tail_weights
from isthmus.export.training.ensemble import Ensemble
from isthmus.export.training.interpreter import OnnxModule
from isthmus.export.training.loss import Loss
from isthmus.export.training.objective import Objective, OwnLoss, WithOwn, known_labels, objective
from isthmus.export.training.pairs import pair
from isthmus.export.training.pairs.pair import Site
from isthmus.export.training.prior import FactorisedPrior
from isthmus.export.training.recipe import Recipe
from isthmus.export.training.run import Progress, Run, made_for
from isthmus.export.training.settings import TrainingSettings
from isthmus.export.training.steering import Steering
from isthmus.export.training.student import Student
from isthmus.export.training.tariff import Tariff, spread
from isthmus.export.training.teacher import Teacher

__all__ = ["Learned", "Progress", "TrainingSettings", "learn"]

ASKING = "unsplit network"
"""Name of the stage in which the unsplit network's answers are gathered."""


@dataclass(slots=True, kw_only=True)
class Learned:
    """A trained bottleneck, in eval mode.

    Attributes:
        encoder: pictures -> code units.
        decoder: codes -> the tensor at the cut.
        grid: rows and columns of the codes.
        code_range: smallest and largest code.
        steps: that were taken.
        wall_s: that they took.
        losses: on the way.
        interrupted: by Ctrl-C.
        tail: in torch, where its weights were trained along; None where they are the unsplit network's.
        rate_weight: what it became, where a number of bytes was to be met.
    """

    encoder: nn.Module
    decoder: nn.Module
    grid: tuple[int, int]
    code_range: tuple[int, int]
    steps: int
    wall_s: float
    losses: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False
    tail: OnnxModule | None = None
    rate_weight: float | None = None


class Scaled(nn.Module):
    """A module and a factor for each channel, before or behind it."""

    def __init__(self, module: nn.Module, scale: torch.Tensor, *, before: bool) -> None:
        super().__init__()
        self.module = module
        self.before = before
        self.scale: torch.Tensor
        self.register_buffer("scale", scale.reshape(1, -1, 1, 1))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """What the module gives, in other units."""
        scaled: torch.Tensor = self.module(value * self.scale) if self.before else self.module(value) * self.scale
        return scaled


def learn(
    halves: Halves,
    samples: Samples,
    preparation: Preparation,
    *,
    channels: int,
    bits: int,
    settings: TrainingSettings,
    teachers: Sequence[ir.Model] = (),
    checkpoint: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Learned:
    """Train a bottleneck for the cut at which `halves` were split.

    Args:
        halves: head and tail of the unsplit network; one float tensor [batch, channel, row, column] crosses between them.
        samples: training pictures; labels are used where they are known.
        preparation: how a picture becomes the network's input.
        channels: of the codes.
        bits: of a code, 1 to 8.
        settings: the recipe and the time.
        teachers: the networks that the settings name, inputs and outputs called as those of the halves.
        checkpoint: file that training goes on from, written every 20 s and at an interruption; None: no checkpoints.
        resume: go on from `checkpoint` if it is there, with its number of steps and its pace.
        on_progress: called after every step, and after every view that the unsplit network was asked about.

    Returns:
        The trained modules. After Ctrl-C too: with what was learned so far and `interrupted` set.

    Raises:
        UsageError: the recipe names modules or tensors that do not exist.
        ExportError: the cut is not one picture-shaped tensor, the batch is fixed, there are fewer than 2 pictures, an operator
            of the tail cannot be trained through, the checkpoint is of another training, or the loss diverged.
    """
    started = time.monotonic()
    torch.manual_seed(settings.seed)
    shape = _feature_shape(halves)
    crew = crews.here()
    pictures, samples = len(samples), samples.part(crew.part(len(samples)))
    if pictures < 2 * crew.size:
        raise ExportError(f"training needs at least {2 * crew.size} pictures, got {pictures}; some hundred make a good result")
    recipe = settings.resolved
    _check_rate(recipe)
    single = precision.in_single(halves.tail)
    targets = [matching.targets(single, stage.features) for stage in recipe.stages]
    site = Site(
        picture=(preparation.channels, preparation.height, preparation.width),
        channels_last=preparation.layout == "nhwc",
        channels=channels,
        restored=shape,
    )
    student = _student(recipe, site, OnnxModule(single, trainable=_trained_weights(recipe, halves)), bits)
    lowest_highest = student.code_range
    grid = _grid(student, site)
    codes = CodeTensor(name="codes", shape=(channels, *grid), bits=bits)
    # What these refuse is refused before the unsplit network is asked for minutes.
    tariff = Tariff(codes) if _is_rated(recipe) else None
    steering = _steering(settings, codes)
    state = None
    if resume and checkpoint is not None and checkpoint.exists():
        state = checkpoints.read(checkpoint, made_for(settings, lowest_highest, pictures))
    teacher = Teacher(
        halves,
        samples,
        preparation,
        matched=tuple(dict.fromkeys(target.name for stage in targets for target in stage)),
        views=recipe.views,
        count=None if state is None else state.get("views"),
        seed=settings.seed,
        ensemble=Ensemble(teachers) if teachers else None,
        budget_s=settings.time_for(pictures),
        on_row=lambda row, rows: on_progress(Progress(stage=ASKING, step=row, steps=rows, loss=None)),
    )
    goal = _objective(recipe, teacher, samples)
    loss = Loss(recipe, targets, teacher.variances, goal, tariff, steering)
    run = Run(student, teacher, loss, settings, crew, pictures, checkpoint, started)
    if state is not None and checkpoint is not None:
        run.restore(checkpoint, state)
    else:
        run.plan()
    interrupted = run.train(on_progress)
    student.cpu().eval()
    encoder, decoder = _in_code_units(student, teacher, bits)
    return Learned(
        encoder=encoder,
        decoder=decoder,
        grid=grid,
        code_range=lowest_highest,
        steps=run.step,
        wall_s=time.monotonic() - started,
        losses=run.losses,
        interrupted=interrupted,
        tail=student.tail if list(student.tail.parameters()) else None,
        rate_weight=loss.rate_weight,
    )


def _student(recipe: Recipe, site: Site, tail: OnnxModule, bits: int) -> Student:
    encoder, decoder = pair.make(recipe.pair, site)
    by_prior = any(stage.rate is not None and stage.rate.by == "prior" for stage in recipe.stages)
    return Student(
        encoder,
        decoder,
        tail,
        quantiser=recipe.quantiser,
        code_range=code_range(bits, signed=True),
        prior=FactorisedPrior(site.channels) if by_prior else None,
        counts=points.prefixes(site.channels) if recipe.nested else (),
    )


def _trained_weights(recipe: Recipe, halves: Halves) -> frozenset[str]:
    """Weights of the tail that the recipe changes."""
    if not recipe.trains_tail:
        return frozenset()
    found = tail_weights.trainable(halves.tail)
    for stage in recipe.stages:
        if stage.trains == ("tail",) and not found:
            raise UsageError(f"stage {stage.name!r} of the recipe trains the tail alone, which has no float weights; cut earlier")
    return found


def _check_rate(recipe: Recipe) -> None:
    if recipe.quantiser == "after" and _is_rated(recipe):
        raise UsageError(
            f"recipe {recipe.name} finds its codes after training, so that the codec cannot say what they cost; "
            "leave --rate-weight and --target-bytes out, or set its quantiser to trained"
        )


def _is_rated(recipe: Recipe) -> bool:
    """Whether a stage weighs what codes cost by the codec's tables."""
    rates = [stage.rate for stage in recipe.stages if stage.rate is not None]
    return any(rate.by == "codec" and rate.weight > 0 for rate in rates)


def _steering(settings: TrainingSettings, codes: CodeTensor) -> Steering | None:
    if settings.target_bytes is None:
        return None
    weights = (stage.rate.weight for stage in settings.resolved.stages if stage.rate is not None)
    return Steering(settings.target_bytes, codes=codes.size(), bits=codes.bits, weight=next(weights))


def _objective(recipe: Recipe, teacher: Teacher, samples: Samples) -> Objective:
    goal = objective(teacher.seen_answers, samples)
    asked = [stage.answers.own for stage in recipe.stages if stage.answers is not None and stage.answers.own]
    if not asked:
        return goal
    losses: dict[str, OwnLoss] = {name: function_of(name) for name in asked}  # type: ignore[misc]
    # A mixed view has no label.
    labels = None if recipe.views.mixup else known_labels(teacher.seen_answers, samples)
    return WithOwn(objective=goal, labels=labels, losses=losses)


def _grid(student: Student, site: Site) -> tuple[int, int]:
    channels, *size = site.picture
    with torch.no_grad():
        probe = student.eval().codes(torch.zeros(1, *((*size, channels) if site.channels_last else site.picture)))
    return int(probe.shape[2]), int(probe.shape[3])


def _in_code_units(student: Student, teacher: Teacher, bits: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder around whole codes: those that learned without rounding get their scales now."""
    if student.quantiser != "after":
        return student.encoder, student.decoder
    with torch.no_grad():
        units = student.codes(teacher.batch(spread(len(teacher))).pictures).numpy()
    # Codes are signed, whatever the pictures at hand show.
    scale = torch.from_numpy(calibrate(units, bits, lowest=-1.0).scale)
    return Scaled(student.encoder, 1 / scale, before=False).eval(), Scaled(student.decoder, scale, before=True).eval()


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
