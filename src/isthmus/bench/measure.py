"""Measure placements side by side: one sequence, every frame through every placement before the next frame comes.

This is MLPerf's single-stream scenario: a frame is due when the one before it has been answered, and latency counts from then.
Cells (a placement on a link) take turns in an order that rotates, so that what the machine does meanwhile falls on all of them
alike. Every cell has its own stream and its own shaped link to the one server.

Server, links and streams are started anew several times over the sequence: where a program's memory came to lie and how its
threads were placed changes its times for as long as it lives, and no number of frames shows that (Kalibera and Jones 2013,
"Rigorous benchmarking in reasonable time", section 3).
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np

from isthmus.bench import energy, programs
from isthmus.bench.cell import Cell
from isthmus.bench.runner import Runner
from isthmus.bench.scenes import Scene
from isthmus.contract.bundle import Bundle
from isthmus.devices import pace, steadiness
from isthmus.devices.energy.quantity import Energy
from isthmus.devices.steadiness import Steadiness
from isthmus.errors import ConfigError
from isthmus.head.gate import MotionGate
from isthmus.head.link import Link

CONNECT_TIMEOUT_S = 20.0


@dataclass(slots=True, kw_only=True)
class Measured:
    """What a run came to.

    Attributes:
        cells: filled.
        starts: how often the programs were started.
        frames: in the sequence.
        dropped: frames that the gate dropped; the same for all cells.
        truths: sequence -> class index of frames in which something is to be seen, passed or dropped.
        passed: sequences that passed the gate.
        empty_frames: frames that are known to show nothing.
        empty_dropped: those of them that the gate dropped.
        every: of the frames that passed, only every so many-th was answered.
        metric: `accuracy`, or `agreement` where the unsplit network's answers stand for the truth.
        gate_s: time of the gate on each frame.
        wall_s: of the whole run.
        steadiness: whether the machine stayed the same while frames were answered.
        energy: by what energy was measured or modelled, or why it was not.
    """

    cells: Sequence[Cell]
    starts: int = 0
    frames: int = 0
    dropped: int = 0
    truths: dict[int, int] = field(default_factory=dict)
    passed: set[int] = field(default_factory=set)
    empty_frames: int = 0
    empty_dropped: int = 0
    every: int = 1
    metric: str = "accuracy"
    gate_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    steadiness: Steadiness | None = None
    energy: str = "not measured"

    @property
    def recall(self) -> float | None:
        """Share of the frames with something to see that passed the gate; None where the truth is not known."""
        return sum(sequence in self.passed for sequence in self.truths) / len(self.truths) if self.truths else None


def measure(
    bundle: Bundle,
    scenes: Iterable[Scene],
    cells: Sequence[Cell],
    *,
    serve: Callable[[], programs.Program],
    gate: MotionGate | None,
    every: int = 1,
    frames_per_start: int | None = None,
    metering: energy.Metering | None = None,
    on_frame: Callable[[int], None] = lambda _count: None,
) -> Measured:
    """Run the sequence through all cells.

    Args:
        bundle: of the classifier that is measured.
        scenes: the sequence.
        cells: at least one; filled in place.
        serve: makes a server that is not yet started, see `programs.server`.
        gate: decides once for all cells, on every frame; None lets all pass.
        every: of the frames that pass, only every so many-th is answered; the gate's figures still come from all.
        frames_per_start: frames of the sequence after which the programs are started anew; None: never.
        metering: how energy is found; None where it is not asked for.
        on_frame: called with the number of frames done.

    Raises:
        ConfigError: no cells.
        TailUnavailable: the server does not answer.
    """
    if not cells:
        raise ConfigError("nothing to measure: no placement was chosen")
    result = Measured(cells=cells, every=every)
    started = time.perf_counter()
    pace.cool_down()
    kept: list[np.ndarray] = []
    before = after = None
    left = iter(scenes)
    while (first := next(left, None)) is not None:
        part = itertools.islice(left, None if frames_per_start is None else frames_per_start - 1)
        with _started(bundle, cells, serve, start=result.starts) as runners:
            result.starts += 1
            for runner in runners:
                runner.warm_up(first.picture)
            before = before or steadiness.look(time.monotonic())
            for scene in itertools.chain([first], part):
                if _passes(result, scene, gate) and len(result.passed) % every == 0:
                    _answer(result, runners, scene, turn=result.frames)
                    kept += [scene.picture] if len(kept) < energy.FRAMES_KEPT else []
                on_frame(result.frames)
            after = steadiness.look(time.monotonic())
    if before and after:
        result.steadiness = steadiness.compare(before, after)
    if metering is not None:
        result.energy = metering.words
        if metering.is_possible and kept:
            with _started(bundle, cells, serve, start=result.starts) as runners:
                _measure_energy(result, runners, kept, metering)
    result.wall_s = time.perf_counter() - started
    return result


@contextmanager
def _started(
    bundle: Bundle, cells: Sequence[Cell], serve: Callable[[], programs.Program], *, start: int
) -> Iterator[list[Runner]]:
    """Start the server, a shaper and a stream for every cell that sends; count what crossed when all of it has ended."""
    shapers: list[tuple[Cell, programs.Program]] = []
    with ExitStack() as stack:
        server = stack.enter_context(serve())
        runners = []
        for cell in cells:
            link = None
            if cell.link is not None:
                shaper = stack.enter_context(programs.shaper(server.match["grpc"], cell.link))
                shapers.append((cell, shaper))
                link = stack.enter_context(Link(bundle, [shaper.match["address"]], device_id=f"bench-{len(shapers)}"))
                link.wait_connected(CONNECT_TIMEOUT_S)
            runners.append(Runner(bundle, cell, link, start=start))
        yield runners
    for cell, shaper in shapers:
        cell.crossed_bytes += programs.passed_bytes(shaper)


def _passes(result: Measured, scene: Scene, gate: MotionGate | None) -> bool:
    """Enter a frame, and say whether the gate lets it pass."""
    result.frames += 1
    if scene.truth is not None:
        result.truths[scene.sequence] = scene.truth
    empty = scene.counts and scene.truth is None
    result.empty_frames += empty
    started = time.perf_counter()
    moving = gate is None or gate.decide(scene.picture).open
    result.gate_s.append(0.0 if gate is None else time.perf_counter() - started)
    if moving:
        result.passed.add(scene.sequence)
    else:
        result.dropped += 1
        result.empty_dropped += empty
    return moving


def _answer(result: Measured, runners: Sequence[Runner], scene: Scene, *, turn: int) -> None:
    """Let every cell answer a frame, beginning with another cell each time."""
    for place in range(len(runners)):
        runners[(turn + place) % len(runners)].answer(scene, result.gate_s[-1])


def _measure_energy(result: Measured, runners: Sequence[Runner], frames: Sequence[np.ndarray], metering: energy.Metering) -> None:
    works = [runner.work for runner in runners]
    sends = [cell.link is not None for cell in result.cells]
    for cell, found in zip(result.cells, energy.measure(works, frames, metering, sends=sends), strict=True):
        if isinstance(found, Energy):
            cell.energy = found
        else:
            result.energy += f"; {cell.name}: not measured, {found}"
