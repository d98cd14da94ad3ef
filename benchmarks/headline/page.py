"""Writes docs/headline.md and its plots from what was found, and says what is missing."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from benchmarks.headline import charts, codecs
from benchmarks.headline.bjontegaard import delta_rate
from benchmarks.headline.codecs import CODECS
from benchmarks.headline.folds import OFFICIAL
from benchmarks.headline.gathering import RECIPES, Found, Result
from benchmarks.headline.plan import POINT_TIMES
from benchmarks.headline.statistics import Interval
from benchmarks.headline.targets import EQUAL_TIME, curve, rivals_of_equal_time, targets
from benchmarks.markdown import table

COMMAND = "make headline"
PAGE = "headline.md"


def write(docs: Path, found: Found) -> Path:
    """Write page and plots; returns the page."""
    for name, draw in (
        ("headline.svg", charts.headline),
        ("headline-bytes.svg", charts.by_bytes),
        ("headline-time.svg", charts.by_time),
        ("headline-recipes.svg", charts.by_recipe),
    ):
        (docs / name).write_text(draw(found))
    path = docs / PAGE
    parts = [_opening(found), _targets(found), _points(found), _pictures(found), _device(found), _recipes(found)]
    path.write_text("\n\n".join([*parts, _official(found), _how(found)]) + "\n")
    return path


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return table(columns, rows, lambda value: "-" if value is None else str(value))


def _opening(found: Found) -> str:
    folds = [name for name in found.stages if name != OFFICIAL]
    complete = [name for name in folds if found.stages[name][0] == found.stages[name][1]]
    begun = [f"{name} {done} of {every} stages" for name, (done, every) in found.stages.items() if 0 < done < every]
    state = f"{len(complete)} of {len(folds)} folds are complete"
    state += f"; begun: {', '.join(begun)}" if begun else ""
    warning = "" if len(complete) == len(folds) else f" **{_warning(found)}**"
    trifle = (
        "" if found.scale.name == "full" else "Tiny networks on drawn pictures: this page shows the harness, not a result.\n\n"
    )
    return (
        "# The headline, measured\n\n"
        f"{trifle}Written by `{COMMAND}` on {datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores that other "
        f"programs share, Python {platform.python_version()}. Photos: {found.photos}; MobileNetV2 at {found.scale.side} px, "
        f"{found.folds} folds, {found.epochs:g} epochs for each training of a network, {POINT_TIMES * found.epochs:g} for one of "
        f"a bottleneck. {state}.{warning}"
    )


def _warning(found: Found) -> str:
    if found.is_of_folds:
        return "The figures below are of the folds that are there, each with its count."
    return (
        "No fold has been begun: the figures below are of the collection's own split, whose validation part nothing has learned "
        "from and nothing was chosen by. So few photos leave a point and a half of doubt either way."
    )


def _targets(found: Found) -> str:
    return "## Targets\n\n" + _table(["what", "wanted", "measured", "met"], (one.row() for one in targets(found)))


def _share(value: float) -> str:
    return f"{100 * value:.1f}"


def _points_of(interval: Interval) -> str:
    return f"{100 * interval.value:.2f} ({100 * interval.low:.2f} to {100 * interval.high:.2f})"


def _measured(result: Result) -> list[str]:
    """Cells that every table has: top-1, how far behind the teacher, how far from it, photos."""
    found, behind = result.accuracy, result.behind
    photos = sum(len(fold.correct) for fold in result.folds.values())
    return [
        f"{_share(found.value)} ({_share(found.low)} to {_share(found.high)})",
        _points_of(behind),
        f"{result.divergence:.3f}",
        f"{photos} in {len(result.folds)}",
    ]


_MEASURED = ["top-1 (95%)", "points behind the teacher (95%)", "KL, nats", "photos in folds"]


def _points(found: Found) -> str:
    rows = []
    for one in found.family("isthmus", seeds=True):
        chosen = " **released**" if one is found.released else ""
        recalled = f"{np.mean(one.recalled):.3f}" if one.recalled else None
        rows.append([f"{one.setting}{chosen}", f"{one.bytes_mean:.0f}", one.variant, *_measured(one), recalled])
    teacher = [[f"unsplit, {one.variant}", None, None, *_measured(one), None] for one in found.family("teacher")]
    if not rows and not teacher:
        return "## The split\n\nNot measured yet."
    return (
        "## The split\n\n![Top-1 against bytes and device time](headline.svg)\n\n"
        + _table(["point", "bytes", "head", *_MEASURED, "KL on learned photos"], [*teacher, *rows])
        + "\n\nBytes are those of the payload, mode and checksum included, by the shipped codec and its tables. The released "
        "point is chosen on photos that are not reported on. *Seed* rows are its training again. *KL on learned photos* is the "
        "same distance from the teacher on some 300 photos that the bottleneck has learned from: what lies between both columns "
        "is what it does worse for photos that are new to it."
    )


def _pictures(found: Found) -> str:
    rows = []
    for codec in CODECS:
        results = found.family(codec)
        plain = {one.setting: one for one in results if one.variant == "plain"}
        adapted = {one.setting: one for one in results if one.variant == "adapted"}
        for setting, one in sorted(plain.items(), key=lambda item: item[1].bytes_mean):
            trained = adapted.get(setting)
            spent = found.device_ms(one)
            rows.append(
                [
                    f"{codec} {setting}",
                    f"{one.bytes_mean:.0f}",
                    f"{one.bare_mean:.0f}",
                    _share(one.accuracy.value),
                    None if trained is None else _share(trained.accuracy.value),
                    None if trained is None else f"{100 * trained.behind.value:.1f}",
                    None if spent is None else f"{spent:.1f}",
                    len(one.folds),
                ]
            )
    if not rows:
        return "## Pictures instead of codes\n\nNot measured yet."
    columns = ["picture", "bytes", "bare", "plain top-1", "adapted top-1", "points behind the teacher", "encoder, ms", "folds"]
    return (
        "## Pictures instead of codes\n\n![Top-1 against bytes](headline-bytes.svg)\n\n"
        + _delta_rates(found)
        + "\n\n"
        + _table(columns, rows)
        + "\n\n*Bare* is without what both ends could agree on: container, headers, tables. *Adapted* is a network of its own "
        "for each codec and band of bytes, distilled from the teacher on photos that were sent in that way."
    )


def _delta_rates(found: Found) -> str:
    points = found.family("isthmus")
    rows = []
    for codec in CODECS:
        for variant in ("plain", "adapted"):
            rivals = found.family(codec, variant)
            common = sorted(set.intersection(*(set(one.folds) for one in [*rivals, *points]))) if rivals and points else []
            if not common:
                continue
            ours = curve([one.on(common) for one in points])
            rates = [delta_rate(curve([one.on(common) for one in rivals], is_bare=bare), ours) for bare in (False, True)]
            rows.append(
                [f"{codec}, {variant}", *(None if rate is None else f"{100 * rate:+.0f}%" for rate in rates), len(common)]
            )
    return (
        "Bjontegaard delta rate of the split against pictures (bytes at equal top-1, mean where the curves overlap):\n\n"
        + _table(["against", "files", "bare", "folds"], rows)
    )


def _device(found: Found) -> str:
    rows = []
    for one in [*found.family("teacher"), *found.family("local"), *found.family("isthmus")]:
        spent = found.device_ms(one)
        parts = [found.times[name] for name in (one.key, f"{one.key} head") if name in found.times]
        spread = f"{parts[0].low:.2f} to {parts[0].high:.2f}" if parts else None
        rows.append(
            [f"{one.family} {one.setting} {one.variant}", None if spent is None else f"{spent:.2f}", spread, *_measured(one)]
        )
    if not rows:
        return "## The device alone\n\nNot measured yet."
    point = found.released
    rivals = [] if point is None else rivals_of_equal_time(found, point)
    ahead = [(rival, above) for rival in rivals if point is not None and (above := point.above(rival)) is not None]
    listed = ", ".join(f"{rival.setting} {rival.variant} by {_points_of(above)}" for rival, above in ahead)
    told = f"\n\nAgainst networks of at most {EQUAL_TIME:g} times its device time the released point leads, in points of top-1: "
    told = f"{told}{listed}." if ahead else ""
    return (
        "## The device alone\n\n![Top-1 against device time](headline-time.svg)\n\n"
        + _table(["contender", "ms", "quartiles of the network", *_MEASURED], rows)
        + told
    )


def _recipes(found: Found) -> str:
    rows = []
    for recipe in RECIPES:
        for one in found.family(recipe):
            spent = found.device_ms(one)
            told = [None if one.mmac is None else f"{one.mmac:.0f}", None if spent is None else f"{spent:.2f}"]
            rows.append([f"{recipe} {one.setting}", f"{one.bytes_mean:.0f}", *told, *_measured(one)])
    left_out = [recipe for recipe in RECIPES if not found.family(recipe)]
    missing = f"\n\nNot measured yet: {', '.join(left_out)}." if left_out else ""
    return (
        "## The recipes\n\n![Top-1 against bytes, by recipe](headline-recipes.svg)\n\n"
        + _table(["recipe, point", "bytes", "head, MMAC", "head and codec, ms", *_MEASURED], rows)
        + "\n\nAll by `isthmus export --recipe NAME` at the same cut, from the same teacher, with as many epochs, their codes by "
        "the same codec. The published ones show their own views, and were meant for ResNets cut earlier; what differs from the "
        "papers stands in "
        "[recipes](recipes.md)." + missing
    )


def _official(found: Found) -> str:
    if not found.is_of_folds:
        return "## Other splits\n\nThe folds have not been begun."
    if not found.official:
        return "## The collection's own split\n\nNot measured yet."
    shown = [one for one in found.official if one.family in ("teacher", *RECIPES) and one.is_shipped]
    rows = [[f"{one.family} {one.setting} {one.variant}", f"{one.bytes_mean:.0f}", *_measured(one)] for one in shown]
    return "## The collection's own split\n\n" + _table(["contender", "bytes", *_MEASURED], rows)


def _how(found: Found) -> str:
    told = Path(__file__).with_name("how.md").read_text().strip()
    return told.format(
        epochs=found.epochs,
        point_epochs=POINT_TIMES * found.epochs,
        teacher_epochs=found.scale.teacher.epochs,
        bands=", ".join(map(str, found.scale.bounds)),
        avif_speed=codecs.AVIF_SPEED,
        equal_time=EQUAL_TIME,
    )
