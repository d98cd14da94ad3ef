"""Writes docs/ghnd.md and its plots from what was measured."""

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ghnd.delays import Delays
from benchmarks.ghnd.effort import Effort
from benchmarks.ghnd.measuring import Row
from benchmarks.ghnd.rivals import bytes_for, envelope
from benchmarks.headline.plots import Dot, Panel, Series, draw
from benchmarks.markdown import table

from isthmus.bench.look import BLUE, GREY, ORANGE, PURPLE

HOW = Path(__file__).with_name("how.md")
WANTED_PART, WANTED_BYTES, WANTED_HEAD = 0.92, 2500, 0.25
"""Targets: of the unsplit AP50, for a picture, of the unsplit network's multiply-adds on the device."""
_LOOK = {"webp": (ORANGE, 1, "WebP"), "avif": (PURPLE, 2, "AVIF"), "jpeg": (GREY, 3, "JPEG")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that the page tells.

    Attributes:
        unsplit: the network on untouched pictures.
        splits: bundles with their training in words.
        pictures: rivals.
        small: another detector that the device runs alone; None where there is none.
        efforts: on the device.
        delays: of the first split.
        pictures_named: what was tested on, in words.
    """

    unsplit: Row
    splits: Sequence[tuple[Row, str]]
    pictures: Sequence[Row]
    small: Row | None
    efforts: Sequence[Effort]
    delays: Delays
    pictures_named: str


def write(docs: Path, found: Result) -> Path:
    """Write page and plots; returns the page."""
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "ghnd.svg").write_text(_plot(found), encoding="utf-8")
    (docs / "ghnd-delay.svg").write_text(found.delays.plot, encoding="utf-8")
    path = docs / "ghnd.md"
    parts = [_opening(found), _targets(found), _precision(found), _rivals(found), _efforts(found.efforts), _delays(found.delays)]
    path.write_text("\n\n".join([*parts, HOW.read_text(encoding="utf-8")]).rstrip() + "\n", encoding="utf-8")
    return path


def _opening(found: Result) -> str:
    return (
        "# A detector split without labels\n\n"
        f"Written by `make ghnd` on {datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores that other programs "
        "share. YOLOX-nano is split by generalised head network distillation: the bottleneck learns from what the unsplit "
        f"network computes on pictures without labels, none of them among those that it is tested on ({found.pictures_named})."
    )


def _targets(found: Result) -> str:
    split, _ = found.splits[0]
    part, low, high = split.part_of(found.unsplit)
    share = split.device_mmac / found.unsplit.device_mmac
    needed = bytes_for(_places(found.pictures), split.drawn[0, 0])
    picture = (
        "no picture at any setting"
        if needed is None
        else f"pictures need {needed:.0f} B, {needed / split.bytes_mean:.1f} times as much"
    )
    rows = [
        (
            "AP50 over the unsplit network's",
            f">= {WANTED_PART:.0%}",
            f"{part:.1%} ({low:.1%} to {high:.1%})",
            part >= WANTED_PART,
        ),
        ("bytes for a picture", f"<= {WANTED_BYTES}", f"{split.bytes_mean:.0f}", split.bytes_mean <= WANTED_BYTES),
        ("head over the unsplit network, multiply-adds", f"<= {WANTED_HEAD}", f"{share:.3f}", share <= WANTED_HEAD),
        ("fewer bytes than any picture of that AP50", "yes", picture, needed is None or needed > split.bytes_mean),
    ]
    cells = [(what, wanted, measured, "yes" if met else "**no**") for what, wanted, measured, met in rows]
    return "## Targets\n\n" + _table(("what", "wanted", "measured", "met"), cells)


def _precision(found: Result) -> str:
    rows = [_line("unsplit, on the device alone", found.unsplit, found)]
    rows += [_line(f"split, {words}", row, found) for row, words in found.splits]
    rows += [] if found.small is None else [_line(found.small.name, found.small, found)]
    columns = ("what", "bytes", "device MMAC", "AP50 (95%)", "AP (95%)", "AP50 over the unsplit (95%)")
    return "## Precision against bytes\n\n![AP50 against bytes for a picture](ghnd.svg)\n\n" + _table(columns, rows)


def _rivals(found: Result) -> str:
    best = set(envelope(_places(found.pictures)))
    rows = [
        _line(row.name, row, found)
        for row in sorted(found.pictures, key=lambda one: one.bytes_mean)
        if (row.bytes_mean, row.drawn[0, 0]) in best
    ]
    columns = (
        "picture into the unsplit network",
        "bytes",
        "device MMAC",
        "AP50 (95%)",
        "AP (95%)",
        "AP50 over the unsplit (95%)",
    )
    words = (
        f"\n\nThe best of {len(found.pictures)} settings (codec, longer side, quality); the others cost more bytes for less. "
        "Bytes are without headers and tables that both ends could agree on."
    )
    return "## Pictures instead\n\n" + _table(columns, rows) + words


def _efforts(found: Sequence[Effort]) -> str:
    rows = [(one.name, f"{one.size:.0f}", f"{one.cpu_ms:.1f}") for one in found]
    return (
        "## What the device spends\n\nThe smallest picture of each codec that is at least as good as the split, and the "
        "processor time that its encoder takes on this machine, one thread, beside the networks.\n\n"
        + _table(("what", "bytes", "processor time, ms"), rows)
    )


def _delays(found: Delays) -> str:
    rows = [
        (one.link, _time(one.local), f"{_time(one.picture)} {one.picture_setting}".strip(), _time(one.split), one.best)
        for one in found.rows
    ]
    wins = (
        f"The split is the quickest from {' and from '.join(found.wins)}." if found.wins else "The split is nowhere the quickest."
    )
    remarks = " ".join(found.remarks)
    return (
        "## From capture to boxes\n\n![Delay over the rate of the link](ghnd-delay.svg)\n\n"
        + _table(("link", "local, ms", "picture, ms", "split, ms", "quickest"), rows)
        + "\n\nForecasts by `isthmus plan` of everything with at least the split's AP50 "
        f"({found.drop:.1%} below the unsplit network's), with bounds. {wins} {remarks}"
    )


def _line(name: str, row: Row, found: Result) -> tuple[str, ...]:
    mmac = f"{row.device_mmac:.0f}" if row.device_mmac else "-"
    ratio = "-" if row is found.unsplit else _interval(row.part_of(found.unsplit))
    return name, f"{row.bytes_mean:.0f}", mmac, _interval(row.figure(0)), _interval(row.figure(1)), ratio


def _interval(figure: tuple[float, float, float]) -> str:
    value, low, high = figure
    return f"{value:.1%} ({max(0.0, low):.1%} to {high:.1%})"


def _time(spent: tuple[float, float, float] | None) -> str:
    return "-" if spent is None else f"{spent[0]:.0f} ({spent[1]:.0f} to {spent[2]:.0f})"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return table(columns, rows, str)


def _places(rows: Sequence[Row]) -> list[tuple[float, float]]:
    return [(row.bytes_mean, float(row.drawn[0, 0])) for row in rows]


def _plot(found: Result) -> str:
    series = []
    for codec, (colour, marker, name) in _LOOK.items():
        rows = [row for row in found.pictures if row.name.startswith(codec)]
        best = set(envelope(_places(rows)))
        dots = [
            Dot(x=x, y=y, tip=f"{row.name}: {y:.1%}, {x:.0f} B", on_line=(x, y) in best)
            for row, (x, y) in zip(rows, _places(rows), strict=True)
        ]
        series.append(Series(name=name, dots=dots, colour=colour, marker=marker))
    splits = []
    for row, words in found.splits:
        value, low, high = row.figure(0)
        splits.append(
            Dot(x=row.bytes_mean, y=value, low=low, high=high, tip=f"split, {words}: {value:.1%}, {row.bytes_mean:.0f} B")
        )
    series.append(Series(name="split", dots=splits, colour=BLUE, marker=0, strong=True))
    lines = [("unsplit", float(found.unsplit.drawn[0, 0]))]
    if found.small is not None:
        lines.append((found.small.name, float(found.small.drawn[0, 0])))
    panel = Panel(title="AP50 against bytes", axis="bytes of a picture", series=series, lines=lines, span=0.4)
    return draw(
        [panel], description="AP50 of YOLOX-nano against bytes for a picture: split, and pictures into the unsplit network."
    )
