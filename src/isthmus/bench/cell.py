"""One placement on one link, and what was measured there."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from isthmus.bench.runner import Exchange
from isthmus.devices.energy.quantity import Energy
from isthmus.devices.link import LinkProfile
from isthmus.head.placement import Local, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One frame that was answered.

    Attributes:
        start: which start of the programs answered it, from 0.
        sequence: of the frame.
        latency_s: from the moment the frame was due.
        payload_bytes: what the codec or the picture encoder gave; 0 where nothing is sent.
        guess: class index.
    """

    start: int
    sequence: int
    latency_s: float
    payload_bytes: int
    guess: int


@dataclass(slots=True, kw_only=True)
class Cell:
    """One placement on one link.

    Attributes:
        placement: `Local`, or a sender.
        link: profile, or None where nothing is sent.
        answers: in the order they came.
        stages_s: name -> seconds, one for each answer.
        modes: of the codec -> answered frames.
        sent_frames: all that were sent, measured or not.
        sent_bytes: payload of all of them.
        crossed_bytes: what passed the link both ways, over all starts.
        failures: answers that did not come, by reason.
        energy: of one frame; None where it was not measured.
        unsettled_starts: starts in which its times had not settled before the first measured frame.
        span_s: from the moment the first frame of a block was due until the last answer, all blocks together.
        drain_s: of that, what passed after the last frame was due.
    """

    placement: Local | Sender
    link: LinkProfile | None
    answers: list[Answer] = field(default_factory=list)
    stages_s: dict[str, list[float]] = field(default_factory=dict)
    modes: Counter[str] = field(default_factory=Counter)
    sent_frames: int = 0
    sent_bytes: int = 0
    crossed_bytes: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    energy: Energy | None = None
    unsettled_starts: int = 0
    span_s: float = 0.0
    drain_s: float = 0.0

    @property
    def name(self) -> str:
        """Placement, setting and link in words."""
        return f"{self.placement.name} {self.placement.setting}" + (f" over {self.link}" if self.link else "")

    def enter(self, answer: Answer, exchange: Exchange, *, gate_s: float) -> None:
        """Keep an answer and what it took."""
        self.answers.append(answer)
        for stage, spent_s in ({"gate": gate_s} | exchange.stages_s).items():
            self.stages_s.setdefault(stage, []).append(spent_s)
        if exchange.mode:
            self.modes[exchange.mode] += 1

    @property
    def latencies_ms(self) -> np.ndarray:
        """float64[answer]."""
        return np.array([answer.latency_s * 1e3 for answer in self.answers])

    @property
    def guesses(self) -> dict[int, int]:
        """Sequence -> class index."""
        return {answer.sequence: answer.guess for answer in self.answers}

    @property
    def payload_bytes_mean(self) -> float:
        """Of an answered frame; 0 without any."""
        return float(np.mean([answer.payload_bytes for answer in self.answers])) if self.answers else 0.0

    @property
    def wire_bytes_mean(self) -> float:
        """Of an answered frame, both ways: its payload, and its share of what crossed beside payloads.

        What crossed beside payloads, opening the streams included, is spread over all frames that were sent.
        """
        return self.payload_bytes_mean + (self.crossed_bytes - self.sent_bytes) / max(1, self.sent_frames)
