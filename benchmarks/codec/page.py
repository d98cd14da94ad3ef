"""Writes docs/codec-benchmark.md and its plots from what was measured."""

import datetime
import json
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.codec import lossy, material
from benchmarks.codec.bottlenecks import FRAMES, PLANS, TEST, TRAIN
from benchmarks.codec.plots import Bar, bars
from benchmarks.codec.rivals import OPTIONAL, optional
from benchmarks.codec.sizes import MIXED, MIXED_CODES_MAX
from benchmarks.codec.targets import SCORE_LEAST, Entry, equal_h265, per_ten_thousand, targets
from benchmarks.markdown import table

COMMAND = "make bench-codec"
Pictures = dict[str, dict[str, list[dict[str, Any]]]]
"""H.265 by network and film: bytes and score by rate factor and scale."""


def write(folder: Path, docs: Path, entries: Sequence[Entry]) -> Path:
    """Write page and plots; returns the page."""
    (docs / "codec-stills.svg").write_text(_stills_plot(entries))
    filmed = [entry for entry in entries if entry["films"]]
    if filmed:
        (docs / "codec-films.svg").write_text(_films_plot(filmed))
    path = docs / "codec-benchmark.md"
    pictures = _read_pictures(folder)
    parts = [_opening(), _targets(entries, pictures), _stills(entries), _lossy(entries)]
    parts += [_films(filmed), _pictures(pictures, filmed)] if filmed else []
    speed = Path(__file__).with_name("speed.md").read_text().strip()
    parts += [_times(entries), speed, _how()]
    path.write_text("\n\n".join(parts) + "\n")
    return path


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return table(columns, rows, _cell)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    return str(value)


def _opening() -> str:
    missing = [name for name in OPTIONAL if optional(name) is None]
    left_out = f" Not installed and left out: {', '.join(missing)}." if missing else ""
    return (
        "# The codec, measured\n\n"
        f"Written by `{COMMAND}` on {datetime.date.today()}, {_processor()}, one core of "
        f"{os.cpu_count()} ({platform.machine()}) that other programs share, Python "
        f"{platform.python_version()}. Bytes are the same on every machine up to what its arithmetic does to training; times are "
        f"not.{left_out} How it was measured stands at the end."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _targets(entries: Sequence[Entry], pictures: Pictures) -> str:
    rows = [target.row() for target in targets(entries, pictures)]
    missed = Path(__file__).with_name("missed.md").read_text().strip()
    return "## Targets\n\n" + _table(["what", "at most", "measured", "met"], rows) + "\n\n" + missed


def _stills(entries: Sequence[Entry]) -> str:
    names = dict.fromkeys(name for entry in entries for name in entry["stills"])
    rows = []
    for name in sorted(names, key=lambda name: entries[0]["stills"].get(name, 0)):
        cells = [entry["stills"].get(name) for entry in entries]
        rows.append(
            [
                name,
                *(
                    None if size is None else f"{size:.0f} ({size / entry['stills']['zstd 19']:.2f})"
                    for size, entry in zip(cells, entries, strict=True)
                ),
            ]
        )
    return (
        "## Photos: bytes of a frame, and of zstd 19\n\n![Bytes of a photo](codec-stills.svg)\n\n"
        + _table(["", *(entry["name"] for entry in entries)], rows)
        + "\n\n*intra without frame* is what its symbols cost; mode, checksum and the coder's state add 8 bytes. *entropy "
        "per channel* knows the histogram of the very frame, *context mixing* is the limit described below."
    )


def _lossy(entries: Sequence[Entry]) -> str:
    rows = []
    for entry in entries:
        facts = entry["facts"]
        row = [entry["name"], facts["judged"], facts["whole"], facts["score"], entry["stills"]["isthmus intra"]]
        kinds = ([one for one in facts["planes"] if one["format"] == name] for name in lossy.FORMATS)
        rows.append(row + [lossy.cheapest(kind, facts["exact"]) for kind in kinds])
    return (
        "## Lossy pictures of the planes, at equal answers\n\nBytes of the cheapest quality whose answers are at most "
        f"{lossy.TOLERANCE:.0%} worse than those of the exact codes; `-`: none is.\n\n"
        + _table(["codes", "judged by", "whole network", "split", "`intra`", *(f"tiled {name}" for name in lossy.FORMATS)], rows)
    )


def _films(entries: Sequence[Entry]) -> str:
    rows = []
    for entry in entries:
        for name, sizes in entry["films"].items():
            base = sizes["zstd 3 of differences"]
            rows.append(
                [
                    entry["name"],
                    f"{name} ({sizes['codes that stay']:.0%} stay)",
                    *(f"{size:.0f} ({size / base:.2f})" for key, size in sizes.items() if key != "codes that stay"),
                ]
            )
    names = [key for key in next(iter(entries[0]["films"].values())) if key != "codes that stay"]
    return (
        "## Films: bytes of a frame, and of zstd 3 on differences\n\n![Bytes of a frame of a film](codec-films.svg)\n\n"
        + _table(["codes", "film", *names], rows)
    )


def _read_pictures(folder: Path) -> Pictures:
    suffix = ".films.json"
    return {path.name.removesuffix(suffix): json.loads(path.read_text()) for path in sorted(folder.glob(f"*{suffix}"))}


def _pictures(pictures: Pictures, entries: Sequence[Entry]) -> str:
    rows = []
    for entry in entries:
        for film, curve in pictures.get(PLANS[entry["name"]].network, {}).items():
            score, temporal = entry["facts"]["films"][film], entry["films"][film]["isthmus temporal"]
            rows.append([entry["name"], film, score, temporal, equal_h265(entry, film, pictures), lossy.cheapest(curve, 0.95)])
    if not rows:
        return "## H.265 of the picture\n\nLeft out: PyAV with x265 is not installed."
    factors = f"{lossy.RATE_FACTORS[0]} to {lossy.RATE_FACTORS[-1]}"
    return (
        "## H.265 of the picture, at equal answers\n\n"
        f"Bytes of a frame of the cheapest H.265 (x265 zero latency, rate factor {factors}, full and half size)\n"
        "whose decoded pictures give the whole network answers as near to those on the raw picture as the split's; beside it\n"
        "the bytes for a score of 0.95. These bottlenecks were trained for minutes or not at all, and a picture with answers\n"
        "as bad is cheap. So this compares rates at the *same* quality and does not\n"
        f"show what a split can do; below a score of {SCORE_LEAST} nothing is compared.\n\n"
        + _table(["codes", "film", "score of the split", "`temporal`", "H.265 at that score", "H.265 at 0.95"], rows)
    )


def _times(entries: Sequence[Entry]) -> str:
    ways = list(dict.fromkeys(way for entry in entries for way in entry["times"]["frame"]["us"]))
    rows = [[way, *(_timed(entry, way) for entry in entries)] for way in ways]
    rows.append(["intra encode, us for 10k codes", *(round(per_ten_thousand(entry, "encode")) for entry in entries)])
    rows.append(["intra decode, us for 10k codes", *(round(per_ten_thousand(entry, "decode")) for entry in entries)])
    rows.append(
        [
            "a call, encode / decode",
            *(" / ".join(f"{entry['times']['binding'][way]['median']:.1f}" for way in ("encode", "decode")) for entry in entries),
        ]
    )
    rows.append(["memory, KiB after 1 / 2000 frames", *(" / ".join(map(str, entry["times"]["memory KiB"])) for entry in entries)])
    rows.append(["table, bytes", *(entry["table bytes"] for entry in entries)])
    heads = [f"{entry['name']} ({entry['times']['frame']['codes']} codes)" for entry in entries]
    return "## Times and memory\n\nMicroseconds, median (least) of " + "300 calls in turns.\n\n" + _table(["", *heads], rows)


def _timed(entry: Entry, way: str) -> str | None:
    spent = entry["times"]["frame"]["us"].get(way)
    return None if spent is None else f"{spent['median']:.0f} ({spent['least']:.0f})"


def _how() -> str:
    made = "\n".join(
        f"- `{name}`: {plan.network}, {plan.channels} channels of {plan.bits} bits in place of a tensor {list(plan.shape)}, "
        + (
            "principal components, nothing trained"
            if plan.how == "pca"
            else "learned"
            + f", {plan.steps} steps of {plan.batch} pictures"
            + (f", {plan.rate_weight} times the bits of a code in the loss (`--rate-weight`)" if plan.rate_weight else "")
        )
        for name, plan in PLANS.items()
    )
    return f"""## How it was measured

{made}

Learned bottlenecks are trained by `isthmus.export.training.distill`, the recipe of `isthmus export`, for minutes: enough for the
statistics of their codes, not for their accuracy. MobileNetV2 and FastestDet see {TRAIN} photos of clothes and are measured on
{TEST} of the validation part; ResNet-56 sees {10 * TRAIN} pictures of CIFAR-10 and is measured on {3 * TEST} held out; tables are
trained on up to {material.CODED} pictures of the training part. Nothing measured was seen by training or by tables. Bytes are
means over frames. Lossy planes are judged on {material.JUDGED} photos.

Films are {FRAMES} frames from each of three fixed cameras ({material.H265_FRAMES} for H.265); the moving camera is a window of
3/5 of its size that wanders over it. The reference is the frame before. Tables for `temporal` on one film are trained on the
other two, as a new camera would meet them; *tables from stills* are those that are made up from photos alone, as
`isthmus export` does. Every stream of the codec was decoded and compared.

The context mixer (`benchmarks/codec/mixing.py`) predicts every bit from adaptive counts under some 15 contexts, among them the
codec's own prediction, and mixes them by weights that learn. It learns from {MIXED} training frames, and *context mixing* goes
on learning from all measured frames at once: a limit that no device could reach, and far too slow. *Learned beforehand* does
not learn from what is measured, as the codec. Frames of more than {MIXED_CODES_MAX} codes are left out: it would take longer than
all else."""


def _stills_plot(entries: Sequence[Entry]) -> str:
    shown = (
        "isthmus raw",
        "PNG",
        "WebP lossless",
        "zstd 3",
        "brotli 11",
        "entropy per channel",
        "isthmus intra",
        "context mixing",
    )
    groups = []
    for entry in entries:
        base = entry["stills"]["zstd 19"]
        kinds = {"isthmus intra": 1, "isthmus raw": 1, "context mixing": 2, "entropy per channel": 2}
        groups.append(
            (
                entry["name"],
                [Bar(name, entry["stills"][name] / base, kinds.get(name, 0)) for name in shown if name in entry["stills"]],
            )
        )
    return bars("Photos kept out of training", groups, "bytes of a frame over those of zstd 19")


def _films_plot(entries: Sequence[Entry]) -> str:
    shown = {"zstd 19 of differences": 0, "isthmus intra": 1, "isthmus temporal": 1}
    groups = []
    for entry in entries:
        group = []
        for name, sizes in entry["films"].items():
            base = sizes["zstd 3 of differences"]
            group += [Bar(f"{name}: {key.removeprefix('isthmus ')}", sizes[key] / base, kind) for key, kind in shown.items()]
        groups.append((entry["name"], group))
    return bars("Films", groups[:4], "bytes of a frame over those of zstd 3 on frame differences")
