"""Every recording, with every fixed placement, the controller and the oracle, in one run; and what targets make of that."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from benchmarks.controller.choice_table import ChoiceTable
from benchmarks.controller.oracle import best_score
from benchmarks.controller.policy import Controlled
from benchmarks.controller.recordings import Recording
from benchmarks.controller.scenario import Camera, Scenario
from benchmarks.controller.simulation import Fixed, Outcome, Simulation

from isthmus.head.control.controller import ControlSettings
from isthmus.head.control.worth import WorthSettings

CONTROLLER = "controller"
OF_ORACLE_LEAST, BELOW_BEST_MOST = 0.95, 0.02
STANDING_BY = ControlSettings(worth=WorthSettings(standby=True))
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one who decides came to on one recording.

    Attributes:
        score: mean over frames of accuracy x answered in time.
        in_time: share of the frames.
        bytes_mean: payload, over all frames.
        standby_score: the same where `local.onnx` answers what is not in time.
        changes: of the choice.
    """

    score: float
    in_time: float
    bytes_mean: float
    standby_score: float
    changes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recording.

    Attributes:
        name, kind: of the recording.
        rate_mbit_s: mean over the recording.
        results: by name of the choice, and `controller`.
        oracle, standby_oracle: scores that nobody can pass.
    """

    name: str
    kind: str
    rate_mbit_s: float
    results: dict[str, Result]
    oracle: float
    standby_oracle: float

    @property
    def best(self) -> str:
        """The fixed placement with the best score."""
        return max((name for name in self.results if name != CONTROLLER), key=lambda name: self.results[name].score)

    @property
    def of_oracle(self) -> float:
        """The controller's score over the oracle's."""
        return self.results[CONTROLLER].score / self.oracle

    @property
    def over_best(self) -> float:
        """The controller's score over that of the best fixed placement, which is another one on every recording."""
        return self.results[CONTROLLER].score / self.results[self.best].score

    def as_json(self) -> dict[str, Any]:
        """For `results.json`."""
        return asdict(self)


def measure(
    recordings: Sequence[Recording], known: Sequence[ChoiceTable], new: Sequence[ChoiceTable], camera: Camera, *, say: Say
) -> list[Run]:
    """Run all recordings."""
    runs = []
    for seed, recording in enumerate(recordings):
        runs.append(_run(Scenario(new, recording.profile, camera, seed=seed), recording, known))
        done = runs[-1]
        say(f"{done.name}: {done.of_oracle:.1%} of the oracle, {done.over_best:.1%} of {done.best}")
    return runs


def _run(scenario: Scenario, recording: Recording, known: Sequence[ChoiceTable]) -> Run:
    alone = float(scenario.accuracy[scenario.local])
    outcomes = {choice.name: Simulation(scenario, Fixed(scenario, row)).run() for row, choice in enumerate(scenario.choices)}
    results = {name: _result(outcome, outcome, scenario) for name, outcome in outcomes.items()}
    controlled = Simulation(scenario, Controlled(scenario, known)).run()
    stood_by = Simulation(scenario, Controlled(scenario, known, STANDING_BY)).run()
    assert recording.profile.mean_rate_bit_s is not None
    return Run(
        name=recording.name,
        kind=recording.kind,
        rate_mbit_s=recording.profile.mean_rate_bit_s / 1e6,
        results=results | {CONTROLLER: _result(controlled, stood_by, scenario)},
        oracle=best_score(scenario),
        standby_oracle=best_score(scenario, otherwise=alone),
    )


def _result(outcome: Outcome, stood_by: Outcome, scenario: Scenario) -> Result:
    return Result(
        score=outcome.score(scenario.accuracy),
        in_time=float(outcome.in_time.mean()),
        bytes_mean=outcome.sent_bytes / scenario.camera.frames,
        standby_score=stood_by.score(scenario.accuracy, otherwise=float(scenario.accuracy[scenario.local])),
        changes=len(outcome.decisions),
    )


def read(rows: Sequence[dict[str, Any]]) -> list[Run]:
    """What `Run.as_json` wrote."""
    return [Run(**{**row, "results": {name: Result(**result) for name, result in row["results"].items()}}) for row in rows]


def mean_of_oracle(runs: Sequence[Run]) -> float:
    """Sum of the controller's scores over that of the oracle's."""
    return float(np.sum([run.results[CONTROLLER].score for run in runs]) / np.sum([run.oracle for run in runs]))
