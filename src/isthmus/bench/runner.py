"""Answers frames in one cell, from the picture to the class."""

import time

import numpy as np

from isthmus.bench.cell import Answer, Cell
from isthmus.bench.scenes import Scene
from isthmus.codec.payload import Mode, mode_of
from isthmus.contract.bundle import Bundle
from isthmus.contract.classification import classify
from isthmus.devices import pace
from isthmus.errors import ConfigError, IsthmusError
from isthmus.head.link import Link
from isthmus.head.placement import Local, Outgoing

ANSWER_TIMEOUT_S = 30.0


class Runner:
    """Answers frames in one cell during one start of the programs.

    Args:
        bundle: of a classifier.
        cell: filled in place.
        link: open stream to the server; None where nothing is sent.
        start: number of the start.
    """

    def __init__(self, bundle: Bundle, cell: Cell, link: Link | None, *, start: int = 0) -> None:
        self._manifest = bundle.manifest
        self.cell = cell
        self._link = link
        self._start = start
        self._sequence = 0

    def warm_up(self, picture: np.ndarray) -> None:
        """Answer a picture until its times settle."""
        self.cell.unsettled_starts += not pace.warm_up(lambda: self.work(picture)).settled

    def work(self, picture: np.ndarray) -> float:
        """Answer a frame without keeping the answer; seconds it took."""
        started = time.perf_counter()
        self._outputs(picture)
        return time.perf_counter() - started

    def answer(self, scene: Scene, gate_s: float) -> None:
        """Answer a frame and keep what it took, the gate's time included."""
        cell = self.cell
        started = time.perf_counter()
        try:
            outputs, stages, outgoing = self._outputs(scene.picture)
        except IsthmusError as error:
            cell.failures[type(error).__name__] += 1
            return
        except TimeoutError:
            cell.failures["no answer"] += 1
            return
        spent_s = time.perf_counter() - started + gate_s
        for stage, stage_s in ({"gate": gate_s} | stages).items():
            cell.stages_s.setdefault(stage, []).append(stage_s)
        if outgoing and outgoing.capture.codes:
            cell.modes[Mode(mode_of(outgoing.capture.codes)).name.lower()] += 1
        cell.answers.append(
            Answer(
                start=self._start,
                sequence=scene.sequence,
                latency_s=spent_s,
                payload_bytes=outgoing.payload_bytes if outgoing else 0,
                guess=classify(outputs, self._manifest).index,
            )
        )

    def _outputs(self, picture: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, float], Outgoing | None]:
        placement = self.cell.placement
        if isinstance(placement, Local):
            answer = placement.answer(picture)
            return answer.outputs, answer.stages_s, None
        assert self._link is not None
        if not self._link.wait_credit(ANSWER_TIMEOUT_S):
            raise TimeoutError
        outgoing = placement.pack(picture, self._link.dialogue)
        outgoing.capture.sequence = self._sequence
        self._sequence += 1
        self.cell.sent_frames += 1
        self.cell.sent_bytes += outgoing.payload_bytes
        reply = self._link.send(outgoing.capture, outgoing.codes).result(ANSWER_TIMEOUT_S)
        if not reply.ok:
            raise ConfigError(f"the server answered {reply.status}: {reply.message}")
        stages = outgoing.stages_s | {"network": reply.network_s}
        stages |= {f"server {stage}": spent for stage, spent in reply.server_s.items()}
        return reply.outputs, stages, outgoing
