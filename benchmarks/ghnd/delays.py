"""From capture to boxes over links, as `isthmus plan` forecasts it: stages timed here, and carried over to a small device."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ghnd.measuring import Row

from isthmus.bench import costs, evaluation
from isthmus.bench.evaluation import Rated
from isthmus.bench.planning import advice, chart, sides
from isthmus.bench.planning import plan as planning
from isthmus.bench.planning.figures import Figures
from isthmus.bench.planning.forecast import Forecast
from isthmus.bench.planning.plan import OverLink, Plan
from isthmus.contract.bundle import Bundle
from isthmus.contract.metric import Metric
from isthmus.devices import link as links
from isthmus.devices.cost import table as tables
from isthmus.export import evaluate
from isthmus.export.samples import Samples

DEVICE = "rpi4"
"""GHND was measured on a Raspberry Pi 4, a Jetson and a laptop; a measured PC plays the server."""
LINKS = tuple(f"{rate}/20ms" for rate in ("100kbit", "250kbit", "500kbit", "1mbit", "2mbit", "5mbit", "10mbit", "50mbit"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """The quickest of each placement over one link, in milliseconds with bounds; None where there is none."""

    link: str
    local: tuple[float, float, float] | None
    picture: tuple[float, float, float] | None
    picture_setting: str
    split: tuple[float, float, float] | None
    best: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """All links, where the split is the quickest, and what is to be known of the figures."""

    rows: Sequence[Delay]
    wins: Sequence[str]
    remarks: Sequence[str]
    plot: str
    drop: float


def of(
    bundle: Bundle, samples: Samples, pictures: Path, folder: Path, rivals: Sequence[str], *, split: Row, unsplit: Row
) -> Delays:
    """Evaluate pictures and time the bundle's stages, once each, and plan.

    Args:
        bundle: a detector's, with one operating point.
        samples: with true boxes.
        pictures: folder on which stages are timed.
        folder: where figures are kept.
        rivals: pictures to evaluate, of jpeg and webp.
        split: as it was measured.
        unsplit: as it was measured.
    """
    if not tables.path_beside(bundle.origin).exists():
        found = costs.profile(bundle.origin, str(pictures))
        tables.path_beside(bundle.origin).write_text(found.model_dump_json(indent=1), encoding="utf-8")
    (point,) = bundle.manifest.points
    worth = Figures(
        data=samples.origin,
        points={point.name: _rated(split, point=point.name)},
        pictures=_pictures(bundle, samples, folder, rivals),
        local={"whole": _rated(unsplit, rival="local", setting="whole")},
    )
    drop = max(0.0, unsplit.figure(0)[0] - split.figure(0)[0])
    both = sides.choose(bundle, DEVICE, None, None, now=costs.now)
    plan = planning.make(bundle, worth, both, [links.parse(text) for text in LINKS], accuracy_drop=drop)
    return Delays(
        rows=[_delay(one, text) for one, text in zip(plan.links, LINKS, strict=True)],
        wins=_wins(plan),
        remarks=both.remarks,
        plot=chart.draw("YOLOX-nano", plan.links[3:4]),
        drop=drop,
    )


def _rated(row: Row, **named: str) -> Rated:
    value, low, high = row.figure(0)
    metric = Metric(name="AP50", value=value, low=max(0.0, low), high=min(1.0, high))
    return Rated(bytes_mean=row.bytes_mean, metric=metric, **named)


def _pictures(bundle: Bundle, samples: Samples, folder: Path, rivals: Sequence[str]) -> dict[str, Rated]:
    """Settings whose encoders a cost table knows, by the names of placements; of the unsplit network, which bundles share."""
    path = folder / f"pictures-{bundle.manifest.files['whole.onnx'].sha256[:12]}.json"
    if not path.exists():
        rows = evaluate.evaluate(bundle, samples, rivals)
        path.write_text(json.dumps(evaluate.as_results(bundle, samples, rows, "python -m benchmarks.ghnd")), encoding="utf-8")
    found = [row for row in evaluation.read_file(path).rows if row.rival is not None]
    return {f"{row.rival}-{row.setting.removeprefix('q')}": row for row in found}


def _delay(over: OverLink, link: str) -> Delay:
    quickest: dict[str, Forecast] = {}
    for one in sorted(over.good, key=lambda one: one.latency.value):
        quickest.setdefault(one.candidate.placement, one)
    picture = quickest.get("offload")
    return Delay(
        link=link,
        local=_milliseconds(quickest.get("local")),
        picture=_milliseconds(picture),
        picture_setting="" if picture is None else picture.candidate.setting,
        split=_milliseconds(quickest.get("split")),
        best="none" if over.best is None else over.best.candidate.placement,
    )


def _milliseconds(one: Forecast | None) -> tuple[float, float, float] | None:
    return None if one is None else (1e3 * one.latency.value, 1e3 * one.latency.low, 1e3 * one.latency.high)


def _wins(plan: Plan) -> list[str]:
    """Ranges of the rate, at the plan's round trip, in which the split is the quickest."""
    return [
        f"{advice.value('rate_bit_s', one.start)} to {advice.value('rate_bit_s', one.end)}"
        for one in plan.links[0].ranges
        if one.quantity == "rate_bit_s" and one.best is not None and one.best.placement == "split"
    ]
