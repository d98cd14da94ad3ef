"""Local, picture and split on an emulated Raspberry Pi 4, over slow links: ResNet-50 and MobileNetV2 at 224 pixels.

One core is slowed until ResNet-50 takes what it takes on a Raspberry Pi 4; everything else on the device is slowed with it.
How long MobileNetV2 takes then beside its published time shows how far one factor goes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.papers import slow_core
from benchmarks.papers.commands import json_of
from benchmarks.papers.emulated import Calibration, Cell, Device, calibrate, started

from isthmus.bench import costs

LINKS = ("250kbit/10ms", "500kbit/10ms", "1mbit/10ms", "5mbit/10ms", "20mbit/10ms")
PUBLISHED_MS = {"ResNet-50": 533.15, "MobileNetV2": 92.98}
"""Raspberry Pi 4 Model B, 1.8 GHz, one thread, minimum: Tencent/ncnn, benchmark/README.md."""
PUBLISHED_INT8_MS = {"ResNet-50": 423.72}
"""The same in int8, from there; int8 of this machine's kind cannot be slowed into that of an ARM core without dot products."""
WHOLE = "local"
WARM_UP = 2
DROPS = ("1%", "4%")
"""Accuracy that plans may give up: less than the split loses, and more."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A picture that is sent.

    Attributes:
        codec, side, quality: how.
        network: `plain` or `adapted`: behind which it is as good as the split.
    """

    codec: str
    side: int
    quality: int
    network: str

    @property
    def name(self) -> str:
        """In tables."""
        return f"{self.codec} {self.side}px q{self.quality}, {self.network}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network that is measured.

    Attributes:
        name: in `PUBLISHED_MS`, or any other.
        bundle: with a split and the whole network.
        is_trained: its accuracy means something.
    """

    name: str
    bundle: Path
    is_trained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What every network goes through.

    Attributes:
        rivals: pictures beside the split.
        links: texts of the links.
        pictures: files that are asked, over and over.
        frames: of each cell.
    """

    rivals: Sequence[Rival]
    links: Sequence[str]
    pictures: Sequence[Path]
    frames: int


def cells(subject: Subject, given: Round) -> list[Cell]:
    """The device alone, then for each link the split and every picture."""
    found = [Cell(name=WHOLE, bundle=subject.bundle, kind="local", how={"file": "whole.onnx"})]
    for link in given.links:
        found.append(Cell(name=f"split {link}", bundle=subject.bundle, kind="split", link=link))
        for rival in given.rivals:
            how = {"format": rival.codec, "side": rival.side, "quality": rival.quality}
            found.append(Cell(name=f"{rival.name} {link}", bundle=subject.bundle, kind="offload", link=link, how=how))
    return found


def measure(subject: Subject, given: Round, share: float | None, *, say: Say) -> tuple[list[dict[str, Any]], Calibration | None]:
    """Rows of one network, and the calibration if there was one.

    Args:
        subject: the network.
        given: how it is measured.
        share: of the core; None finds the one at which the network takes what is published.
        say: told what is done.
    """
    made = cells(subject, given)
    with started(subject.bundle, made, given.pictures) as device:
        calibration = None
        if share is None:
            say(f"{subject.name}: slowing the device")
            calibration = calibrate(device, WHOLE, PUBLISHED_MS[subject.name])
            share = calibration.share
        say(f"{subject.name}: {len(made)} cells, {given.frames} frames each")
        rows = _rows(device, made, given.frames, share)
    return [row | {"network": subject.name} for row in rows], calibration


def _rows(device: Device, made: Sequence[Cell], frames: int, share: float) -> list[dict[str, Any]]:
    names = [cell.name for cell in made]
    with slow_core.SlowCore(device.core, share):
        device.order(names, WARM_UP)
        found = device.order(names, frames)
    return [_row(cell, found[cell.name]) for cell in made]


def _row(cell: Cell, found: dict[str, Any]) -> dict[str, Any]:
    value, low, high = median(found["latency_ms"])
    setting = cell.name.removesuffix(cell.link).strip()
    return {
        "placement": cell.kind,
        "setting": setting,
        "link": cell.link,
        "p50_ms": value,
        "low_ms": low,
        "high_ms": high,
        "bytes": float(np.mean(found["bytes"])),
        "stages_ms": {stage: float(np.median(times)) for stage, times in found["stages_ms"].items()},
        "frames": len(found["latency_ms"]),
        "failures": len(found.get("failures", [])),
    }


def median(times: Sequence[float]) -> tuple[float, float, float]:
    """Median and its 95% interval, from the ranks of a binomial (Le Boudec 2010, "Performance Evaluation", 2.2).

    >>> median([5, 1, 4, 2, 3])
    (3.0, 1.0, 5.0)
    """
    ordered = np.sort(np.asarray(times, dtype=np.float64))
    count = len(ordered)
    reach = 0.98 * math.sqrt(count)
    low = max(0, math.floor(count / 2 - reach) - 1)
    high = min(count - 1, math.ceil(count / 2 + reach))
    return float(np.median(ordered)), float(ordered[low]), float(ordered[high])


def planned(subject: Subject, pictures: Path, links: Sequence[str], folder: Path, *, say: Say) -> list[dict[str, Any]]:
    """What `isthmus plan` says of a Raspberry Pi 4, from costs that were measured here: verdicts, and rows with energy."""
    say(f"{subject.name}: costs for the plan")
    table = folder / f"{subject.name}.costs.json"
    table.write_text(costs.profile(subject.bundle, str(pictures)).model_dump_json(), encoding="utf-8")
    found = []
    for drop in DROPS:
        asked = [
            "plan",
            str(subject.bundle),
            "--device",
            "rpi4",
            "--costs",
            str(table),
            "--accuracy-drop",
            drop,
            "--all",
            "--json",
        ]
        asked += [part for link in links for part in ("--link", link)]
        told = json_of(["-m", "isthmus", *asked])
        own = {"network": subject.name, "drop": drop}
        found += [own | {"link": one["link"], **one["best"], "verdict": one["verdict"]} for one in told["meta"]["links"]]
    return found
