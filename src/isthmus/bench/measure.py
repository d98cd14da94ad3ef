"""Measure placements side by side, on one sequence, in one run.

In single-stream every frame goes through every cell (a placement on a link) before the next frame comes. Cells take turns in an
order that rotates, so that what the machine does meanwhile falls on all of them alike. In the other scenarios cells take turns
block by block: what load does to a server needs the server to itself. Every device of a cell has its own stream and its own
shaped link to the one server.

Server, links and streams are started anew several times over the sequence: where a program's memory came to lie and how its
threads were placed changes its times for as long as it lives, and no number of frames shows that (Kalibera and Jones 2013,
"Rigorous benchmarking in reasonable time", section 3).
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from isthmus.bench import energy, load, programs
from isthmus.bench.cell import Answer, Cell
from isthmus.bench.measured import Measured
from isthmus.bench.runner import Exchange, Runner
from isthmus.bench.scenario import SINGLE_STREAM, Scenario
from isthmus.bench.scenes import Scene
from isthmus.contract.bundle import Bundle
from isthmus.contract.classification import classify
from isthmus.devices import pace, steadiness
from isthmus.devices.energy.quantity import Energy
from isthmus.errors import ConfigError
from isthmus.head.gate import MotionGate
from isthmus.head.link import Link

CONNECT_TIMEOUT_S = 20.0
BLOCK_BYTES_MAX = 256 * 1024 * 1024
"""Pictures of a block are in memory before the first one is due: reading them must not delay arrivals."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Passed:
    """A frame that is to be answered, and how long the gate took on it."""

    scene: Scene
    gate_s: float


def measure(
    bundle: Bundle,
    scenes: Iterable[Scene],
    cells: Sequence[Cell],
    *,
    serve: Callable[[], programs.Program],
    gate: MotionGate | None,
    every: int = 1,
    frames_per_start: int | None = None,
    scenario: Scenario = SINGLE_STREAM,
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
        scenario: when frames are due.
        metering: how energy is found; None where it is not asked for.
        on_frame: called with the number of frames read.

    Raises:
        ConfigError: no cells.
        TailUnavailable: the server does not answer.
    """
    if not cells:
        raise ConfigError("nothing to measure: no placement was chosen")
    result = Measured(cells=cells, every=every, scenario=scenario)
    started = time.perf_counter()
    kept: list[np.ndarray] = []
    before = after = None
    left = iter(scenes)
    while (first := next(left, None)) is not None:
        part = itertools.chain([first], itertools.islice(left, None if frames_per_start is None else frames_per_start - 1))
        result.cooled &= pace.cool_down()
        with _started(bundle, cells, serve, streams=scenario.streams) as devices:
            _warm_up(cells, devices, first.picture)
            before = before or steadiness.look(time.monotonic())
            for block in _blocks(result, part, gate, on_frame):
                _answer(bundle, result, devices, block)
                kept += [one.scene.picture for one in block[: energy.FRAMES_KEPT - len(kept)]]
            after = steadiness.look(time.monotonic())
        result.starts += 1
    if before and after:
        result.steadiness = steadiness.compare(before, after)
    if metering is not None:
        result.energy = metering.words
        if metering.is_possible and kept:
            with _started(bundle, cells, serve) as devices:
                _measure_energy(result, [runners[0] for runners in devices], kept, metering)
    result.wall_s = time.perf_counter() - started
    return result


@contextmanager
def _started(
    bundle: Bundle, cells: Sequence[Cell], serve: Callable[[], programs.Program], *, streams: int = 1
) -> Iterator[list[list[Runner]]]:
    """Start the server, and for every device of every cell that sends a link; count what crossed when all of it has ended.

    Gives the devices of each cell.
    """
    devices: list[list[Runner]] = []
    shapers: list[tuple[Cell, programs.Program]] = []
    with ExitStack() as stack:
        server = stack.enter_context(serve())
        for cell in cells:
            runners = []
            for _ in range(streams):
                link = None
                if cell.link is not None:
                    shaper = stack.enter_context(programs.shaper(server.match["grpc"], cell.link))
                    shapers.append((cell, shaper))
                    link = stack.enter_context(Link(bundle, [shaper.match["address"]], device_id=f"bench-{len(shapers)}"))
                    link.wait_connected(CONNECT_TIMEOUT_S)
                runners.append(Runner(cell.placement, link))
            devices.append(runners)
        yield devices
    for cell, runners in zip(cells, devices, strict=True):
        cell.sent_frames += sum(runner.sent_frames for runner in runners)
        cell.sent_bytes += sum(runner.sent_bytes for runner in runners)
    for cell, shaper in shapers:
        cell.crossed_bytes += programs.passed_bytes(shaper)


def _warm_up(cells: Sequence[Cell], devices: Sequence[Sequence[Runner]], picture: np.ndarray) -> None:
    for cell, runners in zip(cells, devices, strict=True):
        cell.unsettled_starts += [runner.warm_up(picture) for runner in runners].count(False) > 0


def _blocks(
    result: Measured, part: Iterable[Scene], gate: MotionGate | None, on_frame: Callable[[int], None]
) -> Iterator[list[_Passed]]:
    """Enter the frames of a part; those to be answered come one by one, or in blocks where cells do not take turns."""
    block: list[_Passed] = []
    for scene in part:
        passes = _passes(result, scene, gate)
        on_frame(result.frames)
        if passes and len(result.passed) % result.every == 0:
            block.append(_Passed(scene=scene, gate_s=result.gate_s[-1]))
            if result.scenario.takes_turns or sum(one.scene.picture.nbytes for one in block) > BLOCK_BYTES_MAX:
                yield block
                block = []
    if block:
        yield block


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


def _answer(bundle: Bundle, result: Measured, devices: Sequence[Sequence[Runner]], block: Sequence[_Passed]) -> None:
    """Let every cell answer a block, beginning with another cell each time."""
    for place in range(len(devices)):
        index = (result.frames + place) % len(devices)
        answer = _answer_one if result.scenario.takes_turns else _answer_block
        answer(bundle, result, result.cells[index], devices[index], block)


def _answer_one(bundle: Bundle, result: Measured, cell: Cell, runners: Sequence[Runner], block: Sequence[_Passed]) -> None:
    [passed], [runner] = block, runners
    started = time.perf_counter()
    exchange = runner.answer(passed.scene.picture)
    _enter(bundle, result, cell, passed, exchange, time.perf_counter() - started)


def _answer_block(bundle: Bundle, result: Measured, cell: Cell, runners: Sequence[Runner], block: Sequence[_Passed]) -> None:
    # The same seed for every cell: they meet the same arrivals.
    random = np.random.default_rng(result.frames)
    asked = load.ask(result.scenario, runners, [passed.scene.picture for passed in block], random)
    last_at = max(one.exchange.done_at for one in asked)
    cell.span_s += last_at - asked[0].due_at
    cell.drain_s += last_at - asked[-1].due_at
    for passed, one in zip(block, asked, strict=True):
        _enter(bundle, result, cell, passed, one.exchange, one.latency_s)


def _enter(bundle: Bundle, result: Measured, cell: Cell, passed: _Passed, exchange: Exchange, latency_s: float) -> None:
    """Keep an answer, or why there is none."""
    if exchange.failure:
        cell.failures[exchange.failure] += 1
        return
    if not result.scenario.takes_turns:
        # What no stage accounts for: the device was not free yet, no credit was there, another answer of the query was due.
        waited_s = max(0.0, latency_s - sum(exchange.stages_s.values()))
        exchange = dataclasses.replace(exchange, stages_s={"wait": waited_s} | exchange.stages_s)
    answer = Answer(
        start=result.starts,
        sequence=passed.scene.sequence,
        latency_s=latency_s + passed.gate_s,
        payload_bytes=exchange.payload_bytes,
        guess=classify(exchange.outputs, bundle.manifest).index,
    )
    cell.enter(answer, exchange, gate_s=passed.gate_s)


def _measure_energy(result: Measured, runners: Sequence[Runner], frames: Sequence[np.ndarray], metering: energy.Metering) -> None:
    works = [runner.work for runner in runners]
    sends = [cell.link is not None for cell in result.cells]
    for cell, found in zip(result.cells, energy.measure(works, frames, metering, sends=sends), strict=True):
        if isinstance(found, Energy):
            cell.energy = found
        else:
            result.energy += f"; {cell.name}: not measured, {found}"
