"""Writes docs/imagenet.md and its plot."""

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contender import Contender, dots, percent
from benchmarks.headline.codecs import AVIF_SPEED, CODECS
from benchmarks.headline.plots import Panel, Series, draw
from benchmarks.imagenet.gathering import Released, released
from benchmarks.imagenet.plan import BYTES_MAX, DROP_MAX, EARLY
from benchmarks.imagenet.stages import Sample
from benchmarks.imagenet.verdict import advice, bytes_for
from benchmarks.markdown import table

from isthmus.bench.look import BLUE, GREEN, GREY, ORANGE, PURPLE

COMMAND = "make imagenet"
PAGE, PLOT = "imagenet.md", "imagenet.svg"
SPAN = 0.2
"""Points of top-1 below the best that the plot shows."""
DEPTHS = ((0.0, 0.45, GREEN, "up to 45% on the device"), (0.45, 0.72, ORANGE, "45 to 72%"), (0.72, 1.0, BLUE, "above 72%"))
"""Bands of the head's share of the multiply-adds."""


def write(docs: Path, sample: Sample, found: Sequence[Contender]) -> Path:
    """Write page and plot; returns the page."""
    (docs / PLOT).write_text(_plot(found))
    path = docs / PAGE
    parts = [
        _opening(sample),
        _verdict(sample, found),
        _depths(found),
        _split(found),
        _pictures(found),
        _device(found),
        _how(sample),
    ]
    path.write_text("\n\n".join(parts) + "\n")
    return path


def _of(found: Sequence[Contender], *families: str) -> list[Contender]:
    return [one for one in found if one.family in families]


def _opening(sample: Sample) -> str:
    is_full = sample.scale.name == "full"
    trifle = "" if is_full else "A network that knows nothing, on drawn pictures: this page shows the harness.\n\n"
    return (
        f"# MobileNetV2 on ImageNet's sample\n\n{trifle}Written by `{COMMAND}` on {datetime.date.today()}, {platform.machine()}, "
        f"{os.cpu_count()} cores. {sample.photos.origin}: photos that ImageNet's networks were trained on, so that all top-1 "
        "here is higher than on the validation set, of every contender alike. Nothing is trained: the split quantises what "
        "crosses, or its principal components."
    )


def _verdict(sample: Sample, found: Sequence[Contender]) -> str:
    early = f"A head of at most {100 * EARLY:.0f}% of the network"
    parts = [_target(sample, found, name, share) for name, share in (("Any head", 1.0), (early, EARLY))]
    return "\n\n".join(["## Target", *parts, _depth_of_target(found)])


def _depth_of_target(found: Sequence[Contender]) -> str:
    """How much of the network must be on the device for the target, in words."""
    good = [one.share for one in _of(found, "split") if one.bytes_mean <= BYTES_MAX and one.drop.value <= DROP_MAX]
    if not good:
        return "No point of the list keeps to both limits."
    return f"No point of the list whose head computes less than {100 * min(good):.0f}% of the network keeps to both limits."


def _target(sample: Sample, found: Sequence[Contender], name: str, share: float) -> str:
    """Of the points whose head computes no more than that share."""
    points = [one for one in _of(found, "split") if one.share <= share]
    chosen = released(points, sample.splits())
    if chosen is None:
        return f"**{name}**: no point keeps to the bytes, or none has been measured."
    result, agreement = chosen.result, chosen.result.agreement
    rows = [
        ["bytes of a photo, mean", f"<= {BYTES_MAX}", f"{result.bytes_mean:.0f}", _yes(result.bytes_mean <= BYTES_MAX)],
        ["points of top-1 lost", f"<= {100 * DROP_MAX:g}", result.measured[1], _yes(result.drop.value <= DROP_MAX)],
        ["agreement with the unsplit network", "-", percent(agreement), "-"],
        ["multiply-adds of the head", f"<= {100 * share:.0f}%" if share < 1 else "-", f"{100 * result.share:.0f}%", "-"],
    ]
    return (
        f"**{name}**; the point is chosen for each fold on the others: {' and '.join(dict.fromkeys(chosen.choices))}.\n\n"
        + table(["what", "wanted", "measured", "met"], rows, str)
        + f"\n\n{_words(found, chosen)}"
    )


def _words(found: Sequence[Contender], chosen: Released) -> str:
    """The point beside its rivals, and what to do."""
    result = chosen.result
    told = []
    for codec in CODECS:
        size = bytes_for(found, codec, result.accuracy.value)
        if size is not None:
            times = size / result.bytes_mean
            told.append(
                f"{codec} into the network as it is needs {size:.0f} bytes for the same top-1, {times:.1f} times as many."
            )
    return " ".join([*told, advice(found, result)])


def _depths(found: Sequence[Contender]) -> str:
    """At every cut the best point of few bytes, and the point of fewest bytes that loses little."""
    points = _of(found, "split")
    small = sorted((one for one in points if one.bytes_mean <= BYTES_MAX), key=lambda one: one.accuracy.value)
    good = sorted((one for one in points if one.drop.value <= DROP_MAX), key=lambda one: -one.bytes_mean)
    heads = ["head's share", "point", "bytes", "top-1 (95%)", "points lost (95%)"]
    return (
        f"## How deep the cut must be\n\nAt every cut the best point of at most {BYTES_MAX} bytes, picked on the photos that "
        "it is reported on, which flatters it a little:\n\n"
        + table([*heads, "agreement"], [[*_named(one), *one.measured] for one in _by_cut(small)], str)
        + f"\n\nAnd the fewest bytes that lose at most {100 * DROP_MAX:g} points, beside the smallest picture that "
        "answers as well:\n\n"
        + table([*heads, "picture"], [[*_named(one), *one.measured[:2], _picture(found, one)] for one in _by_cut(good)], str)
    )


def _by_cut(points: Sequence[Contender]) -> list[Contender]:
    """The last point of every cut, by depth."""
    last = {one.setting.partition(" ")[0]: one for one in points}
    return sorted(last.values(), key=lambda one: one.share)


def _picture(found: Sequence[Contender], split: Contender) -> str:
    sizes = {codec: bytes_for(found, codec, split.accuracy.value) for codec in CODECS}
    known = sorted((size, codec) for codec, size in sizes.items() if size is not None)
    return f"{known[0][1]}, {known[0][0]:.0f} bytes" if known else "none measured"


def _split(found: Sequence[Contender]) -> str:
    points = sorted(_of(found, "split"), key=lambda one: (one.share, -one.bytes_mean))
    rows = [[*_named(one), *one.measured] for one in points]
    whole = [["100%", "unsplit", "-", *one.measured] for one in _of(found, "unsplit")]
    return (
        f"## The split at every depth\n\n![Top-1 against bytes]({PLOT})\n\n"
        + table(["head's share", "point", "bytes", "top-1 (95%)", "points lost (95%)", "agreement"], [*whole, *rows], str)
        + "\n\nBytes are those of the payload by the shipped codec, with tables learned at export. Each photo is answered by a "
        "split that was fitted on other folds. Intervals of points lost are in pairs, by a bootstrap over photos."
    )


def _pictures(found: Sequence[Contender]) -> str:
    rows = [
        [f"{one.family} {one.setting}", f"{one.bytes_mean:.0f}", f"{one.bare:.0f}", *one.measured]
        for one in sorted(_of(found, *CODECS), key=lambda one: one.bytes_mean)
    ]
    return "## Pictures into the network as it is\n\n" + table(
        ["picture", "bytes", "bare", "top-1 (95%)", "points lost (95%)", "agreement"], rows, str
    )


def _device(found: Sequence[Contender]) -> str:
    rows = [[f"{one.setting} {one.variant}", f"{100 * one.share:.0f}%", *one.measured] for one in _of(found, "local")]
    return "## The device alone\n\n" + table(
        ["network", "multiply-adds", "top-1 (95%)", "points lost (95%)", "agreement"], rows, str
    )


def _how(sample: Sample) -> str:
    return (
        "## How it was measured\n\n"
        f"{sample.scale.folds} disjoint folds of the photos: scales, principal components and codec tables come from the others, "
        "by `isthmus export` as anyone would call it. The released point of a fold is chosen by answers to the photos of the "
        "others. The network's layers, the codec and the tail run photo by photo, one thread. Pictures: fitted to the input, "
        f"shrunk, OpenCV's libwebp, libavif (speed {AVIF_SPEED}), libjpeg-turbo, enlarged again; "
        "the network is not adapted to them, which favours the split. *Bare* is without container and tables. 8-bit networks: "
        "onnxruntime's quantiser, scales by channel, ranges of 100 photos of the other folds; they have not learned for it. A "
        "smaller input is the photo shrunk to it, the same weights.\n\n"
        "**What flatters the figures.** Cuts, channels and bits of the list were looked at on these very photos while "
        "the benchmark was written, and the points that a choice is made among were fitted on the fold that is then "
        "reported on: the choice between folds is no proof against luck. A gain over the unsplit network of a few "
        "photos is none. Multiply-adds of 8-bit networks are counted like those of floats, although a device often "
        "computes them faster. A photo's shorter side is brought to the input at once, where the network's own recipe "
        "shrinks to 256 and then crops."
    )


def _plot(found: Sequence[Contender]) -> str:
    series = []
    for codec, colour, marker in (("jpeg", GREY, 3), ("webp", PURPLE, 1), ("avif", PURPLE, 2)):
        series.append(
            Series(name=f"{codec}, plain network", dots=dots(_of(found, codec)), colour=colour, marker=marker, dash="2 3")
        )
    for low, high, colour, name in DEPTHS:
        points = [one for one in _of(found, "split") if low < one.share <= high]
        series.append(Series(name=f"split, {name}", dots=dots(points), colour=colour, marker=0, strong=True))
    lines = [("unsplit network", one.accuracy.value) for one in _of(found, "unsplit")]
    panel = Panel(title="Top-1 against bytes", axis="bytes of a photo", series=series, lines=lines, span=SPAN)
    return draw([panel], description="Top-1 on ImageNet's sample against bytes for a photo, by depth of the cut.")


def _named(one: Contender) -> list[str]:
    return [f"{100 * one.share:.0f}%", one.setting, f"{one.bytes_mean:.0f}"]


def _yes(is_met: bool) -> str:
    return "yes" if is_met else "**no**"
