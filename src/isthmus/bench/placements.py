"""`isthmus bench`: from words on the command line to measured cells."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from isthmus.bench import cold, energy, programs, scenes
from isthmus.bench.cell import Cell
from isthmus.bench.measure import measure
from isthmus.bench.measured import Measured
from isthmus.bench.progress import Progress
from isthmus.bench.scenario import SINGLE_STREAM, Scenario
from isthmus.bench.scenes import Scene
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.contract.classification import classify
from isthmus.devices import link as links
from isthmus.devices.link import LinkProfile
from isthmus.errors import NotBuiltYet, UsageError
from isthmus.head.gate import MotionGate
from isthmus.head.placement import Local, Split, parse_offload
from isthmus.head.source import open_source

FRAMES_PER_START_MIN = 50
"""Fewer frames say little about what a start is like, and starting takes seconds."""


def run(
    bundle: Path,
    source: str,
    placements: Sequence[str],
    profiles: Sequence[str],
    *,
    limit: int | None = None,
    every: int = 1,
    gate: bool = True,
    starts: int = 1,
    scenario: Scenario = SINGLE_STREAM,
    cold_starts: int = 0,
    device: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Measured:
    """Serve the bundle and measure every placement on every link.

    Where the source knows no truth, the unsplit network's answer on the untouched frame stands for it: agreement, not accuracy.

    Args:
        bundle: of a classifier.
        source: see `isthmus.head.source`.
        placements: see `parse_cells`.
        profiles: links, as `1mbit/20ms`.
        limit: take at most so many frames.
        every: answer only every so many-th frame that passes the gate.
        gate: whether the motion gate drops frames.
        starts: start the programs anew so many times over the sequence, less often where it is short.
        scenario: when frames are due.
        cold_starts: time so many starts of server and agent to their first answers.
        device: name or file of this machine's profile; chosen by what the machine says when None.
        on_progress: called after every frame.

    Raises:
        UsageError: a placement or a link that cannot be read.
        IsthmusError: bundle, source or server.
    """
    opened = open_bundle(bundle)
    if opened.manifest.task.kind != "classification":
        raise NotBuiltYet(f"{bundle} answers with {opened.manifest.task.kind}; this version measures classifiers")
    cells = parse_cells(opened, placements, [links.parse(text.strip()) for text in profiles])
    with open_source(source) as frames:
        total = min(limit or scenes.FRAMES_MAX, frames.length or scenes.FRAMES_MAX)
        truths = _Truths(opened)
        measured = measure(
            opened,
            truths.completed(scenes.from_source(frames, limit=limit)),
            cells,
            serve=lambda: programs.server(bundle),
            gate=MotionGate() if gate else None,
            every=every,
            frames_per_start=math.ceil(total / max(1, min(starts, total // FRAMES_PER_START_MIN))),
            scenario=scenario,
            metering=energy.here(device),
            on_frame=lambda count: on_progress(Progress(part="measuring", share=count / total)),
        )
    measured.metric = "agreement" if truths.stood_in else "accuracy"
    if cold_starts:
        on_progress(Progress(part="starting programs anew"))
        measured.cold = cold.starts(opened, source, cells, _first_picture(source), cold_starts)
    return measured


def _first_picture(source: str) -> np.ndarray:
    with open_source(source) as frames:
        return next(scenes.from_source(frames, limit=1)).picture


def parse_cells(bundle: Bundle, placements: Sequence[str], profiles: Sequence[LinkProfile]) -> list[Cell]:
    """Cells for `local`, `split` (every operating point), `offload` (JPEG 75), or a picture setting such as `webp-50`.

    Raises:
        UsageError: nothing is named.
        ConfigError: a word that is none of these.
    """
    names = [name.strip() for name in placements if name.strip()]
    if not names:
        raise UsageError("no placement is named; choose of local, offload, split, jpeg-75, webp-50")
    cells: list[Cell] = []
    for name in names:
        if name == "local":
            cells.append(Cell(placement=Local(bundle), link=None))
            continue
        for link in profiles:
            if name == "split":
                points = range(len(bundle.manifest.points))
                cells.extend(Cell(placement=Split(bundle, point=point), link=link) for point in points)
            else:
                cells.append(Cell(placement=parse_offload("jpeg-75" if name == "offload" else name), link=link))
    return cells


class _Truths:
    """Lets the unsplit network stand in where a source knows no truth."""

    def __init__(self, bundle: Bundle) -> None:
        self._manifest = bundle.manifest
        self._whole = Local(bundle)
        self.stood_in = False

    def completed(self, frames: Iterator[Scene]) -> Iterator[Scene]:
        known = False
        for scene in frames:
            known = known or scene.counts
            if known:
                yield scene
                continue
            self.stood_in = True
            guess = classify(self._whole.answer(scene.picture).outputs, self._manifest).index
            yield dataclasses.replace(scene, truth=guess)
