"""The cells of one bundle: predicted from its cost table, then measured with the real programs, and what the two come to."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from benchmarks.planning import crowd
from benchmarks.planning.crowd import Crowd
from benchmarks.planning.networks import Known, Say

from isthmus.bench import costs, programs, scenes, summary
from isthmus.bench.cell import Cell
from isthmus.bench.measure import measure
from isthmus.bench.measured import Measured
from isthmus.bench.planning import figures
from isthmus.bench.planning import plan as planning
from isthmus.bench.planning.candidates import candidates
from isthmus.bench.planning.forecast import Forecast
from isthmus.bench.planning.plan import OverLink, Plan
from isthmus.bench.planning.sides import Sides
from isthmus.devices import link as links
from isthmus.devices.cost.table import CostTable, Seconds
from isthmus.export import evaluate
from isthmus.export import samples as reading
from isthmus.head.placement import Local, Offload, Split
from isthmus.head.source import open_source

LINKS = ("250kbit/40ms", "1mbit/20ms", "5mbit/20ms", "20mbit/10ms", "100mbit/5ms")
NO_LINK = "unlimited"
"""Over the shaper too, which adds nothing but itself: what it takes itself is told, and these cells do not count."""
PICTURES = (("jpeg", 75), ("webp", 50))
DROPS = (0.01, 0.05, 0.2)
"""Of accuracy, one verdict each."""
WITHIN, GOOD = 0.1, 0.05
"""Targets: a median within a tenth of the measured one; a choice within a twentieth of the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One cell."""

    network: str
    placement: str
    setting: str
    link: str
    predicted_ms: float
    measured_ms: float
    bytes_predicted: float
    bytes_measured: float
    stages_ms: dict[str, tuple[float, float]]
    """Stage -> predicted median and measured mean."""

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted_ms / self.measured_ms

    def without(self, shaper_ms: float) -> float:
        """The same, had the shaper taken no time itself."""
        return self.predicted_ms / (self.measured_ms - (shaper_ms if self.link else 0.0))

    def as_json(self) -> dict[str, Any]:
        """For results."""
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One verdict: the placement that the plan takes, beside the best that was measured."""

    network: str
    link: str
    drop: float
    alone: bool
    """Whether the device may answer by itself; False: as if it could not."""
    chosen: str
    chosen_ms: float
    best: str
    best_ms: float

    @property
    def loss(self) -> float:
        """By how much the choice is slower than the best."""
        return self.chosen_ms / self.best_ms - 1

    def as_json(self) -> dict[str, Any]:
        """For results."""
        return asdict(self) | {"loss": self.loss}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one bundle.

    Attributes:
        shaper_ms: median over the cells without a link of what measured exceeds predicted.
    """

    compared: list[Compared]
    judged: list[Judged]
    crowds: list[Crowd]
    shaper_ms: float
    steady: bool
    unsteady_because: tuple[str, ...]


def run(known: Known, frames: int, *, say: Say) -> Found:
    """Evaluate, profile, measure, profile again, plan by the mean of both, compare: what else the machine does changes."""
    say(f"{known.name}: what pictures are worth")
    worth = _evaluated(known)
    say(f"{known.name}: profile")
    before = costs.profile(known.bundle.origin, str(known.pictures))
    say(f"{known.name}: measuring {len(LINKS)} links")
    measured = _measured(known, frames)
    say(f"{known.name}: profile again")
    table = _mean(before, costs.profile(known.bundle.origin, str(known.pictures)))
    plan = planning.make(
        known.bundle,
        worth,
        Sides(device=table, profile=None, server=table, is_same=True),
        [links.parse(text) for text in (*LINKS, NO_LINK)],
        accuracy_drop=DROPS[0],
    )
    everything = _compared(known, plan, measured)
    crowds = crowd.run(known, candidates(known.bundle, worth, plan.sides), say=say)
    steadiness = measured.steadiness
    reasons = (*table.unsteady_because, *(() if steadiness is None else steadiness.reasons))
    return Found(
        compared=[one for one in everything if one.link != NO_LINK],
        crowds=crowds,
        shaper_ms=float(np.median([one.measured_ms - one.predicted_ms for one in everything if one.link == NO_LINK])),
        judged=_judged(known, plan, measured),
        steady=not reasons,
        unsteady_because=reasons,
    )


def _mean(one: CostTable, other: CostTable) -> CostTable:
    """Stages of both, half of each; networks and cuts of the first."""
    stages = {
        name: Seconds(value=(a.value + b.value) / 2, low=(a.low + b.low) / 2, high=(a.high + b.high) / 2)
        for name, a in one.stages.items()
        if (b := other.stages.get(name)) is not None
    }
    reasons = (*one.unsteady_because, *other.unsteady_because)
    return one.model_copy(update={"stages": stages, "unsteady_because": reasons, "steady": not reasons})


def _evaluated(known: Known) -> figures.Figures:
    """Figures of the very pictures that are measured, of the settings that are measured."""
    rows = evaluate.evaluate(known.bundle, reading.read(known.pictures), ("jpeg", "webp", "local"))
    results = evaluate.as_results(known.bundle, reading.read(known.pictures), rows, "benchmarks.planning")
    path = known.pictures.parent / "evaluated.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    found = figures.read(known.bundle, path)
    wanted = {offload.setting for offload in _offloads(known)}
    return dataclasses.replace(found, pictures={name: one for name, one in found.pictures.items() if name in wanted})


def _offloads(known: Known) -> list[Offload]:
    preparation = known.bundle.manifest.preparation
    return [Offload(name, quality, fitted_to=fitted) for name, quality in PICTURES for fitted in (None, preparation)]


def _measured(known: Known, frames: int) -> Measured:
    cells = [Cell(placement=Local(known.bundle), link=None)]
    for text in (*LINKS, NO_LINK):
        split = Split(known.bundle)
        placements = (*split.at_every_point(), *_offloads(known))
        cells += [Cell(placement=placement, link=links.parse(text)) for placement in placements]
    with open_source(str(known.pictures)) as source:
        found = scenes.from_source(source, limit=frames)
        return measure(known.bundle, found, cells, serve=lambda: programs.server(known.bundle.origin), gate=None)


def _compared(known: Known, plan: Plan, measured: Measured) -> list[Compared]:
    found = []
    for cell in measured.cells:
        row = summary.row(measured, cell)
        forecast = _forecast(plan, cell)
        if forecast is None or row.latency_ms.p50 is None:
            continue
        predicted = {stage: 1e3 * spent.value for stage, spent in forecast.stages.items()}
        found.append(
            Compared(
                network=known.name,
                placement=row.placement,
                setting=row.setting,
                link=row.link or "",
                predicted_ms=1e3 * forecast.latency.value,
                measured_ms=row.latency_ms.p50,
                bytes_predicted=forecast.wire_bytes,
                bytes_measured=row.bytes_wire_mean,
                stages_ms={stage: (spent, row.stages_ms.get(stage, 0.0)) for stage, spent in predicted.items()},
            )
        )
    return found


def _forecast(plan: Plan, cell: Cell) -> Forecast | None:
    for one in plan.links:
        for forecast in one.forecasts:
            candidate = forecast.candidate
            if (candidate.placement, candidate.setting) == (cell.placement.name, cell.placement.setting) and (
                forecast.link == cell.link
            ):
                return forecast
    return None


def _judged(known: Known, plan: Plan, measured: Measured) -> list[Judged]:
    rows = {(row.placement, row.setting, row.link): row.latency_ms.p50 for row in summary.rows(measured)}
    found = []
    for over in (one for one in plan.links if str(one.setting.link) != NO_LINK):
        for drop in DROPS:
            for alone in (True, False):
                judged = _verdict(known, plan, over, rows, drop=drop, alone=alone)
                if judged is not None:
                    found.append(judged)
    return found


def _verdict(
    known: Known, plan: Plan, over: OverLink, rows: dict[tuple[str, str, str | None], float | None], *, drop: float, alone: bool
) -> Judged | None:
    """The choice among the cells that were measured and are accurate enough; None where there are not two of them."""
    least = planning.wanted(plan.figures.unsplit, drop)
    offered: list[tuple[Forecast, float]] = []
    for forecast in over.forecasts:
        candidate = forecast.candidate
        key = (candidate.placement, candidate.setting, None if forecast.link is None else str(forecast.link))
        spent_ms = rows.get(key)
        is_allowed = forecast.is_possible and candidate.metric.value >= least and (alone or candidate.sends)
        if spent_ms is not None and is_allowed:
            offered.append((forecast, spent_ms))
    if len(offered) < 2:
        return None
    chosen, chosen_ms = min(offered, key=lambda one: one[0].latency.value)
    best, best_ms = min(offered, key=lambda one: one[1])
    return Judged(
        network=known.name,
        link=str(over.setting.link),
        drop=drop,
        alone=alone,
        chosen=chosen.candidate.name,
        chosen_ms=chosen_ms,
        best=best.candidate.name,
        best_ms=best_ms,
    )


def share(fits: Sequence[bool]) -> str:
    """Part and numbers.

    >>> share([True, True, False, True])
    '75% (3 of 4)'
    """
    return f"{sum(fits) / len(fits):.0%} ({sum(fits)} of {len(fits)})" if fits else "none"


def table_lines(found: Sequence[Compared]) -> list[str]:
    """One line a cell."""
    return [
        f"{one.network:12} {one.link:14} {one.placement + ' ' + one.setting:26} {one.predicted_ms:8.1f} {one.measured_ms:8.1f} "
        f"{one.ratio:6.2f} {one.bytes_predicted:9.0f} {one.bytes_measured:9.0f}"
        for one in found
    ]
