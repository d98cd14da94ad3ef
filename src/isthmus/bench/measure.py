"""Measure placements side by side: one sequence, every frame through every placement before the next frame comes.

This is MLPerf's single-stream scenario: a frame is due when the one before it has been answered, and latency counts from then.
Cells (a placement on a link) take turns in an order that rotates, so that what the machine does meanwhile falls on all of them
alike. Every cell has its own stream and its own shaped link to the one server.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from isthmus.bench import energy, programs
from isthmus.bench.scenes import Scene
from isthmus.codec.payload import Mode, mode_of
from isthmus.contract.bundle import Bundle
from isthmus.contract.classification import classify
from isthmus.devices import pace, steadiness
from isthmus.devices.energy.quantity import Energy
from isthmus.devices.link import LinkProfile
from isthmus.devices.steadiness import Steadiness
from isthmus.errors import ConfigError, IsthmusError
from isthmus.head.gate import MotionGate
from isthmus.head.link import Link
from isthmus.head.placement import Local, Outgoing, Sender

ANSWER_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 20.0


@dataclass(slots=True, kw_only=True)
class Cell:
    """One placement on one link, and what was measured there.

    Attributes:
        placement: `Local`, or a sender.
        link: profile, or None where nothing is sent.
        latencies_s: one for each answered frame.
        stages_s: name -> seconds, one for each answered frame.
        payload_bytes: one for each answered frame.
        modes: of the codec -> answered frames.
        sent_frames: all that were sent, measured or not.
        sent_bytes: payload of all of them.
        wire_bytes: of an answered frame, both ways: its payload, and what crossed beside payloads, the opening of the stream
            included, as a mean over all frames that were sent.
        guesses: sequence -> class index.
        failures: answers that did not come, by reason.
        energy: of one frame; None where it was not measured.
        warmed_up: whether its times had settled before the first measured frame.
    """

    placement: Local | Sender
    link: LinkProfile | None
    latencies_s: list[float] = field(default_factory=list)
    stages_s: dict[str, list[float]] = field(default_factory=dict)
    payload_bytes: list[int] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    sent_frames: int = 0
    sent_bytes: int = 0
    wire_bytes: float = 0.0
    guesses: dict[int, int] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    energy: Energy | None = None
    warmed_up: bool = True

    @property
    def name(self) -> str:
        """Placement, setting and link in words."""
        return f"{self.placement.name} {self.placement.setting}" + (f" over {self.link}" if self.link else "")


@dataclass(slots=True, kw_only=True)
class Measured:
    """What a run came to.

    Attributes:
        cells: filled.
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
    tail: str,
    gate: MotionGate | None,
    every: int = 1,
    metering: energy.Metering | None = None,
    on_frame: Callable[[int], None] = lambda _count: None,
) -> Measured:
    """Run the sequence through all cells.

    Args:
        bundle: of the classifier that is measured.
        scenes: the sequence.
        cells: at least one; filled in place.
        tail: `host:port` of the running server.
        gate: decides once for all cells, on every frame; None lets all pass.
        every: of the frames that pass, only every so many-th is answered; the gate's figures still come from all.
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
    shapers: list[tuple[Cell, programs.Program]] = []
    with ExitStack() as stack:
        runners = []
        for cell in cells:
            link = None
            if cell.link is not None:
                shaper = stack.enter_context(programs.shaper(tail, cell.link))
                shapers.append((cell, shaper))
                name = f"bench-{len(shapers)}"
                link = stack.enter_context(Link(bundle, [shaper.match["address"]], device_id=name))
                link.wait_connected(CONNECT_TIMEOUT_S)
            runners.append(_Runner(bundle, cell, link))
        kept: list[np.ndarray] = []
        before = None
        for index, scene in enumerate(scenes):
            if before is None:
                for runner in runners:
                    runner.warm_up(scene.picture)
                before = steadiness.look(time.monotonic())
            if _passes(result, scene, gate) and len(result.passed) % every == 0:
                _answer(result, runners, scene, turn=index)
                kept += [scene.picture] if len(kept) < energy.FRAMES_KEPT else []
            on_frame(result.frames)
        if before is not None:
            result.steadiness = steadiness.compare(before, steadiness.look(time.monotonic()))
        if metering is not None:
            result.energy = metering.words
            if metering.is_possible and kept:
                _measure_energy(result, runners, kept, metering)
    for cell, shaper in shapers:
        beside = programs.passed_bytes(shaper) - cell.sent_bytes
        cell.wire_bytes = float(np.mean(cell.payload_bytes or [0])) + beside / max(1, cell.sent_frames)
    result.wall_s = time.perf_counter() - started
    return result


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


def _answer(result: Measured, runners: "Sequence[_Runner]", scene: Scene, *, turn: int) -> None:
    """Let every cell answer a frame, beginning with another cell each time."""
    for place in range(len(runners)):
        runners[(turn + place) % len(runners)].answer(scene, result.gate_s[-1])


def _measure_energy(
    result: Measured, runners: "Sequence[_Runner]", frames: Sequence[np.ndarray], metering: energy.Metering
) -> None:
    works = [runner.work for runner in runners]
    sends = [cell.link is not None for cell in result.cells]
    for cell, found in zip(result.cells, energy.measure(works, frames, metering, sends=sends), strict=True):
        if isinstance(found, Energy):
            cell.energy = found
        else:
            result.energy += f"; {cell.name}: not measured, {found}"


class _Runner:
    """Answers frames in one cell."""

    def __init__(self, bundle: Bundle, cell: Cell, link: Link | None) -> None:
        self._manifest = bundle.manifest
        self._cell = cell
        self._link = link
        self._sequence = 0

    def warm_up(self, picture: np.ndarray) -> None:
        self._cell.warmed_up = pace.warm_up(lambda: self.work(picture)).settled

    def work(self, picture: np.ndarray) -> float:
        """Answer a frame without keeping the answer; seconds it took."""
        started = time.perf_counter()
        self._outputs(picture)
        return time.perf_counter() - started

    def answer(self, scene: Scene, gate_s: float) -> None:
        cell = self._cell
        started = time.perf_counter()
        try:
            outputs, stages, outgoing = self._outputs(scene.picture)
        except IsthmusError as error:
            cell.failures[type(error).__name__] += 1
            return
        except TimeoutError:
            cell.failures["no answer"] += 1
            return
        cell.latencies_s.append(time.perf_counter() - started + gate_s)
        for stage, spent in ({"gate": gate_s} | stages).items():
            cell.stages_s.setdefault(stage, []).append(spent)
        cell.payload_bytes.append(outgoing.payload_bytes if outgoing else 0)
        if outgoing and outgoing.capture.codes:
            cell.modes[Mode(mode_of(outgoing.capture.codes)).name.lower()] += 1
        cell.guesses[scene.sequence] = classify(outputs, self._manifest).index

    def _outputs(self, picture: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, float], Outgoing | None]:
        placement = self._cell.placement
        if isinstance(placement, Local):
            answer = placement.answer(picture)
            return answer.outputs, answer.stages_s, None
        assert self._link is not None
        if not self._link.wait_credit(ANSWER_TIMEOUT_S):
            raise TimeoutError
        outgoing = placement.pack(picture, self._link.dialogue)
        outgoing.capture.sequence = self._sequence
        self._sequence += 1
        self._cell.sent_frames += 1
        self._cell.sent_bytes += outgoing.payload_bytes
        reply = self._link.send(outgoing.capture, outgoing.codes).result(ANSWER_TIMEOUT_S)
        if not reply.ok:
            raise ConfigError(f"the server answered {reply.status}: {reply.message}")
        stages = outgoing.stages_s | {"network": reply.network_s}
        stages |= {f"server {stage}": spent for stage, spent in reply.server_s.items()}
        return reply.outputs, stages, outgoing
