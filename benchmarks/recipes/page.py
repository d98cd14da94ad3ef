"""Writes docs/recipes-compared.md and its plot."""

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.headline.bjontegaard import envelope
from benchmarks.headline.plots import Dot, Panel, Series, draw
from benchmarks.markdown import table
from benchmarks.recipes.stages import Trial

from isthmus.bench.look import BLUE, GREEN, GREY, ORANGE, PURPLE, RED

COMMAND = "make recipes"
PAGE, PLOT = "recipes-compared.md", "recipes-compared.svg"
LOOKS = {"isthmus": (BLUE, 0), "bottlefit": (ORANGE, 1), "entropic": (PURPLE, 2), "ghnd": (GREEN, 3), "hnd": (RED, 1)}
"""Of the recipes that come with Isthmus; those of a user are grey."""


def write(docs: Path, trial: Trial, found: Sequence[tuple[Contender, int]]) -> Path:
    """Write page and plot; returns the page.

    Args:
        docs: folder.
        trial: what was to be measured.
        found: contenders with the steps of their training.
    """
    (docs / PLOT).write_text(_plot([one for one, _ in found]))
    path = docs / PAGE
    path.write_text("\n\n".join([_opening(trial), _table(found), _how(trial)]) + "\n")
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


def _table(found: Sequence[tuple[Contender, int]]) -> str:
    rows = []
    for one, steps in found:
        top, lost = one.accuracy, one.drop
        is_split = one.family != "unsplit"
        rows.append(
            [
                f"{one.family}, {one.setting}" if is_split else "unsplit",
                f"{one.bytes_mean:.0f}" if is_split else "-",
                f"{100 * one.share:.0f}%",
                steps if is_split else "-",
                f"{100 * top.value:.1f}% ({100 * top.low:.1f} to {100 * top.high:.1f})",
                f"{100 * lost.value:.1f} ({100 * lost.low:.1f} to {100 * lost.high:.1f})",
                f"{100 * one.agreement.value:.1f}%",
            ]
        )
    columns = ["recipe, point", "bytes", "head's share", "steps", "top-1 (95%)", "points lost (95%)", "agreement"]
    return table(columns, rows, str)


def _how(trial: Trial) -> str:
    return (
        "## What this says, and what not\n\n"
        "All by `isthmus export --recipe NAME` at the same cut of the same network, on the same photos, for as many epochs; "
        "codes by the same codec, bytes are those of the payload. Batch, views, learning rates and losses are the recipe's own. "
        f"The published ones were meant for 20 epochs of ImageNet or COCO and for networks cut earlier: {trial.scale.epochs:g} "
        "epochs of some thousand small photos say which of them learns quickly from little, not which is best in the end. The "
        "photos are JPEG files of CIFAR-10, on which the network, trained on lossless ones, is ten points worse than published. "
        "*Head's share* is of the unsplit network's multiply-adds. What differs from the papers stands in "
        "[recipes](recipes.md).\n\n"
        "## A recipe of your own in the same plot\n\n"
        "    python -m benchmarks.recipes --recipe mine.toml\n\n"
        "`mine.toml` is a [recipe](recipes.md#keys), with [encoder, decoder and loss of your "
        "own](recipes.md#your-own-encoder-decoder-and-loss) if you like; it is trained on the same photos for as many epochs and "
        "stands in table and plot beside the others."
    )


def _plot(found: Sequence[Contender]) -> str:
    families = dict.fromkeys(one.family for one in found if one.family != "unsplit")
    series = []
    for family in families:
        colour, marker = LOOKS.get(family, (GREY, 2))
        dots = _dots([one for one in found if one.family == family])
        series.append(Series(name=family, dots=dots, colour=colour, marker=marker, strong=family == "isthmus"))
    lines = [("unsplit network", one.accuracy.value) for one in found if one.family == "unsplit"]
    panel = Panel(title="The recipes", axis="bytes of a photo", series=series[::-1], lines=lines, span=0.5)
    return draw([panel], description="Top-1 against bytes for a photo, by recipe.")


def _dots(found: Sequence[Contender]) -> list[Dot]:
    best = set(envelope([(one.bytes_mean, one.accuracy.value) for one in found]))
    return [
        Dot(
            x=one.bytes_mean,
            y=one.accuracy.value,
            tip=f"{one.family}, {one.setting}: {one.accuracy.value:.1%} at {one.bytes_mean:.0f} bytes",
            low=one.accuracy.low,
            high=one.accuracy.high,
            on_line=(one.bytes_mean, one.accuracy.value) in best,
        )
        for one in found
    ]
