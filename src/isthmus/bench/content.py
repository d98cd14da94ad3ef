"""What a report tells: the caller fills these facts, `report` lays them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isthmus.bench.cold_start import ColdStart
from isthmus.bench.comparison import Comparison
from isthmus.bench.evaluation import Evaluation
from isthmus.bench.prediction import Predicted
from isthmus.bench.results import Row
from isthmus.contract.manifest import Gate
from isthmus.contract.metric import Metric


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """One row of the results, with the single latencies behind its percentiles.

    Attributes:
        row: as in `results.json`.
        latencies_ms: one for each answered frame, in any order; empty if they were not kept.
    """

    row: Row
    latencies_ms: Sequence[float] | np.ndarray = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name and what holds for it, both in words."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One frame of the streamed run.

    Attributes:
        sequence: number of the frame.
        shown: whether there was something to see; None where that is not known.
        gate_open: whether the gate let the frame pass.
        answered: whether an answer came.
        correct: whether it was right; None without an answer, or where the truth is not known.
    """

    sequence: int
    shown: bool | None
    gate_open: bool
    answered: bool
    correct: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The streamed run, frame by frame.

    Attributes:
        moments: in the order of their numbers.
        frames_per_s: pace of the source; None: the axis counts frames.
        subject: what there is to see, as `digit`.
        summary: one sentence below the drawing.
    """

    moments: Sequence[Moment]
    frames_per_s: float | None = None
    subject: str = "object"
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """What a language model said.

    Attributes:
        outcomes: one for each conversation, with times of its tokens; rows carry the further fields of `language.publish.row`.
        text: of one of them.
    """

    outcomes: Sequence[Outcome]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """Everything in a report; empty parts are left out.

    Attributes:
        title: of the report.
        banner: how far the report may be believed, above everything else.
        warnings: why it, or a part of it, is a trial and no result.
        summary: what was measured, in a few facts.
        verdict: sentences, the most important one first.
        outcomes: rows of the table, in its order.
        conversations: of a language model, instead of `outcomes`.
        reference: the unsplit network on pictures that were not compressed.
        evaluation: accuracy and bytes of the bundle beside rivals, on labelled pictures.
        comparison: with another run.
        predicted: what a plan had promised of these outcomes.
        conditions: energy, heat, clocks, and what else the figures depend on.
        cold: starts of the programs.
        timeline: of the streamed run.
        bundle: facts of the bundle.
        files: name in the bundle -> bytes.
        gates: checks that the bundle passed when it was written.
        machine: facts of the machine.
        commands: how to get this report again, one command a line.
        notes: on method: what is measured, where, and with which clock.
        created: date and time in words.
    """

    title: str
    banner: str = ""
    warnings: Sequence[str] = ()
    summary: Sequence[Fact] = ()
    verdict: Sequence[str] = ()
    outcomes: Sequence[Outcome] = ()
    conversations: Conversations | None = None
    reference: Metric | None = None
    evaluation: Evaluation | None = None
    comparison: Comparison | None = None
    predicted: Sequence[Predicted] = ()
    conditions: Sequence[Fact] = ()
    cold: Sequence[ColdStart] = ()
    timeline: Timeline | None = None
    bundle: Sequence[Fact] = ()
    files: Mapping[str, int] = field(default_factory=dict)
    gates: Sequence[Gate] = ()
    machine: Sequence[Fact] = ()
    commands: Sequence[str] = ()
    notes: Sequence[str] = ()
    created: str = ""
