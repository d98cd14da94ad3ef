"""Writes docs/recipes-compared.md and its plot."""

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contender import Contender, dots
from benchmarks.headline.plots import Panel, Series, draw
from benchmarks.markdown import table
from benchmarks.recipes.stages import Trial

from isthmus.bench.look import BLUE, GREEN, GREY, ORANGE, PURPLE, RED
from isthmus.export.training import recipe as recipes
from isthmus.export.training.recipe import Recipe

COMMAND = "make recipes"
PAGE, PLOT = "recipes-compared.md", "recipes-compared.svg"
MARGIN = 0.03
"""Of top-1 below the worst dot, so that all are shown."""
LOOKS = {"isthmus": (BLUE, 0), "bottlefit": (ORANGE, 1), "entropic": (PURPLE, 2), "ghnd": (GREEN, 3), "hnd": (RED, 0)}
"""Of the recipes that come with Isthmus; those of a user are grey."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One contender and what it took.

    Attributes:
        contender: what it said.
        mmac: million multiply-adds of the head, or of the unsplit network.
        steps: of its training.
        seconds: of everything: the unsplit network's answers to the views, training, export, asking.
    """

    contender: Contender
    mmac: float
    steps: int
    seconds: float

    @property
    def is_split(self) -> bool:
        """Whether it is a split, and not the unsplit network."""
        return self.contender.family != "unsplit"


def write(docs: Path, trial: Trial, found: Sequence[Outcome], diverged: Sequence[str]) -> Path:
    """Write page and plot; returns the page.

    Args:
        docs: folder.
        trial: what was to be measured.
        found: what has been measured.
        diverged: trainings without a figure, and what was said of each.
    """
    (docs / PLOT).write_text(_plot([one.contender for one in found]))
    path = docs / PAGE
    failed = ["Without a figure:\n\n" + "\n".join(f"- {one}" for one in diverged)] if diverged else []
    path.write_text("\n\n".join([_opening(trial), _table(found), *failed, _how(trial), _recipes(trial), _own(trial)]) + "\n")
    return path


def _opening(trial: Trial) -> str:
    scale = trial.scale
    trifle = "" if scale.name == "full" else "A network that knows nothing, on noise: this page shows the harness.\n\n"
    return (
        f"# The recipes on one task\n\n{trifle}Written by `{COMMAND}` on {datetime.date.today()}, {platform.machine()}, "
        f"{os.cpu_count()} cores. ResNet-56, cut behind its second stage ({scale.shape[0]} channels of {scale.shape[1]}x"
        f"{scale.shape[2]}); {len(trial.learning)} photos of {trial.learning.origin} to learn from, {len(trial.reporting)} of "
        f"{trial.reporting.origin} to report on, that nothing was chosen by; {scale.epochs:g} epochs for each, one seed.\n\n"
        f"![Top-1 against bytes]({PLOT})"
    )


def _table(found: Sequence[Outcome]) -> str:
    columns = [
        "recipe, point",
        "bytes",
        "head, million multiply-adds",
        "steps",
        "minutes",
        "top-1 (95%)",
        "points lost (95%)",
        "agreement",
    ]
    return table(columns, map(_row, found), str)


def _row(outcome: Outcome) -> list[object]:
    one = outcome.contender
    if not outcome.is_split:
        return ["unsplit", "-", f"{outcome.mmac:.1f}", "-", "-", one.measured[0], "-", "-"]
    effort = (f"{outcome.mmac:.1f} ({100 * one.share:.1f}%)", outcome.steps, f"{outcome.seconds / 60:.1f}")
    return [f"{one.family}, {one.setting}", f"{one.bytes_mean:.0f}", *effort, *one.measured]


def _recipes(trial: Trial) -> str:
    rows = [_told(recipes.load(reference)) for reference in dict.fromkeys(point.recipe for point in trial.scale.points)]
    return table(["recipe", "batch", "views of a photo", "mixed", "labels", "tail"], rows, str)


def _told(recipe: Recipe) -> list[object]:
    labels = any(stage.answers is not None and stage.answers.labels for stage in recipe.stages)
    tail = "trained along" if recipe.trains_tail else "as it is"
    return [recipe.name, recipe.batch, recipe.views.count, f"{100 * recipe.views.mixup:.0f}%", "yes" if labels else "no", tail]


def _how(trial: Trial) -> str:
    scale = trial.scale
    return (
        "Top-1 has Wilson's interval. Points lost are what the unsplit network has right and the split has not, less the "
        "reverse, photo by photo, with a bootstrap interval over the photos. Bytes are of the payload as it is sent, by "
        "the same codec for all; *minutes* of a core of a shared machine hold the unsplit network's answers to the views, "
        "training, export and the questions.\n\n"
        "## What this says, and what not\n\n"
        "All are made by `isthmus export --recipe NAME` at the same cut of the same network, from the same photos, and "
        f"every photo is shown {scale.epochs:g} times in all, views counted. A tenth of the photos to learn from is held "
        "out by the exporter for its own figures. Batch, views, learning rates and losses are the recipe's own, as below: "
        "a recipe with a small batch takes more steps. The published ones were meant for 20 epochs of ImageNet or COCO, "
        f"for pictures of 224 pixels and more, and for networks cut earlier: {scale.epochs:g} epochs of some thousand "
        "pictures of 32 pixels, minutes and not days, say which of them learns quickly from little, not which is best in "
        "the end. Where *gradients to 2* stands, the recipe is not as published: its steps are bounded as those of `isthmus` "
        "are. Unbounded ones ran away when the tail was trained along; why that is was not looked into further. `isthmus` "
        "was made on photos of clothes, not on these, but for trainings as short as this one. One seed: intervals say how "
        "far other photos would move a figure, not how far another training would. The photos are JPEG files of CIFAR-10, on "
        "which the network, trained on lossless ones, is ten points worse than published. What differs from the papers stands "
        "in [recipes](recipes.md)."
    )


def _own(trial: Trial) -> str:
    return (
        "## A recipe of your own in the same plot\n\n"
        "    python -m benchmarks.recipes --recipe mine.toml\n\n"
        "`mine.toml` is a [recipe](recipes.md#keys), with [encoder, decoder and loss of your "
        "own](recipes.md#your-own-encoder-decoder-and-loss) if you like; it is trained first, on the same photos for "
        f"{trial.scale.epochs:g} epochs, and stands in table and plot beside the others. What was trained is kept and not "
        "trained again unless the recipe, or a file whose functions it names, has changed."
    )


def _plot(found: Sequence[Contender]) -> str:
    families = dict.fromkeys(one.family for one in found if one.family != "unsplit")
    series = []
    for place, family in enumerate(families):
        colour, marker = LOOKS.get(family, (GREY, place))
        drawn = dots([one for one in found if one.family == family], with_interval=True)
        series.append(Series(name=family, dots=drawn, colour=colour, marker=marker, strong=family == "isthmus"))
    lines = [("unsplit network", one.accuracy.value) for one in found if one.family == "unsplit"]
    tops = [one.accuracy.value for one in found] or [0.0]
    span = max(tops) - min(tops) + MARGIN
    panel = Panel(title="The recipes", axis="bytes of a photo", series=series[::-1], lines=lines, span=span)
    return draw([panel], description="Top-1 against bytes for a photo, by recipe.")
