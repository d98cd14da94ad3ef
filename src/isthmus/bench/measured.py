"""What a run came to, before it is summed up in rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.bench.cell import Cell
from isthmus.bench.cold_start import ColdStart
from isthmus.bench.scenario import SINGLE_STREAM, Scenario
from isthmus.devices.steadiness import Steadiness


@dataclass(slots=True, kw_only=True)
class Measured:
    """A run.

    Attributes:
        cells: filled.
        scenario: when frames were due.
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
        cooled: whether it was cool before every start.
        energy: by what energy was measured or modelled, or why it was not.
        cold: how long programs took from the start of their process to the first answer; empty where it was not asked for.
    """

    cells: Sequence[Cell]
    scenario: Scenario = SINGLE_STREAM
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
    cooled: bool = True
    energy: str = "not measured"
    cold: Sequence[ColdStart] = ()

    @property
    def recall(self) -> float | None:
        """Share of the frames with something to see that passed the gate; None where the truth is not known."""
        return sum(sequence in self.passed for sequence in self.truths) / len(self.truths) if self.truths else None
