"""`isthmus plan`: from bundle, figures, costs and links to forecasts, fronts and a verdict."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import isthmus
from isthmus.bench.planning import advice, candidates, sensitivity
from isthmus.bench.planning.candidate import Candidate
from isthmus.bench.planning.figures import Figures
from isthmus.bench.planning.fleet import Sized, size
from isthmus.bench.planning.forecast import Forecast, Setting, forecast
from isthmus.bench.planning.front import front
from isthmus.bench.planning.sensitivity import Range
from isthmus.bench.planning.sides import Sides
from isthmus.bench.planning.simulation import Fleet
from isthmus.bench.results import Results
from isthmus.contract.bundle import Bundle
from isthmus.contract.metric import Metric
from isthmus.devices.cost import transfer
from isthmus.devices.link import LinkProfile

NOTES = (
    "Predicted, nothing was run: p50 of single frames, one thread, no motion gate.",
    "Bounds of times are the 5th and 95th percentile of measured stages, or those of a prediction; they add up.",
    "Bytes on the wire are TCP payload both ways without opening the stream; no TLS, no loss, no slow start.",
    "Energy is modelled by the device's profile where it has a model, the radio left out; the front compares what is above idle.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverLink:
    """What a plan finds for one link.

    Attributes:
        setting: link, load and the like.
        forecasts: of every candidate.
        good: those that the bundle can do at the wanted accuracy, and the link can carry.
        front: those that no other beats in everything.
        best: the quickest that the bundle can do at the wanted accuracy; None where there is none.
        verdict: in words.
        ranges: how the choice changes.
    """

    setting: Setting
    forecasts: Sequence[Forecast]
    good: Sequence[Forecast]
    front: Sequence[Forecast]
    best: Forecast | None
    verdict: str
    ranges: Sequence[Range]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of it.

    Attributes:
        bundle: whose plan.
        figures: what answers are worth.
        sides: costs of device and server.
        accuracy_drop: that is allowed against the unsplit network.
        links: in the order asked for.
    """

    bundle: Bundle
    figures: Figures
    sides: Sides
    accuracy_drop: float
    links: Sequence[OverLink]

    @property
    def wanted(self) -> float:
        """Accuracy that a candidate must have."""
        return wanted(self.figures.unsplit, self.accuracy_drop)

    @property
    def said(self) -> list[str]:
        """For people, the most important first."""
        return [*(one.verdict for one in self.links), *self.sides.remarks]


def make(
    bundle: Bundle,
    figures: Figures,
    sides: Sides,
    links: Sequence[LinkProfile],
    *,
    accuracy_drop: float = 0.01,
    load: float = 0.0,
    instances: int = 1,
) -> Plan:
    """Predict every candidate on every link.

    Args:
        bundle: of a vision network.
        figures: what answers are worth.
        sides: costs of device and server.
        links: at least one.
        accuracy_drop: that is allowed against the unsplit network, 0 to 1.
        load: part of the server's time that others take.
        instances: of the server.

    Raises:
        ConfigError: costs or figures lack something.
        UsageError: the load leaves no room.
    """
    offered = candidates.candidates(bundle, figures, sides)
    answer_bytes = transfer.answer_bytes(port.shape for port in bundle.manifest.outputs)
    return Plan(
        bundle=bundle,
        figures=figures,
        sides=sides,
        accuracy_drop=accuracy_drop,
        links=[
            _over(
                Setting(link=link, load=load, instances=instances, answer_bytes=answer_bytes, profile=sides.profile),
                offered,
                figures.unsplit,
                accuracy_drop,
            )
            for link in links
        ],
    )


def wanted(unsplit: Metric, accuracy_drop: float) -> float:
    """The least accuracy that will do."""
    # Shares are ratios of whole numbers: a hair's breadth of floats must not turn one away that is just as good.
    return unsplit.value - accuracy_drop - 1e-9


def _over(setting: Setting, offered: Sequence[Candidate], unsplit: Metric, accuracy_drop: float) -> OverLink:
    forecasts = [forecast(candidate, setting) for candidate in offered]
    least = wanted(unsplit, accuracy_drop)
    allowed = [one for one in forecasts if one.candidate.is_there and one.candidate.metric.value >= least]
    good = [one for one in allowed if one.is_possible]
    return OverLink(
        setting=setting,
        forecasts=forecasts,
        good=good,
        front=front([one for one in forecasts if one.candidate.is_there]),
        best=min(good, key=lambda one: one.latency.value, default=None),
        verdict=advice.verdict(setting.link, good, wanted=max(0.0, least), unsplit=unsplit),
        ranges=sensitivity.ranges([one.candidate for one in allowed], setting),
    )


def sized(plan: Plan, fleet: Fleet) -> list[Sized]:
    """How large a server a fleet needs on each link: for the quickest picture and the quickest point that are accurate enough."""
    found = []
    for one in plan.links:
        quickest: dict[str, Forecast] = {}
        for forecast_ in sorted(one.good, key=lambda forecast_: forecast_.latency.value):
            quickest.setdefault(forecast_.candidate.placement, forecast_)
        found += [size(best.candidate, one.setting, fleet) for best in quickest.values() if best.candidate.sends]
    return found


def as_results(plan: Plan, command: str, fleets: Sequence[Sized] = ()) -> Results:
    """As in every result file, with `verdict` in `meta`, and `fleet` where one was sized."""
    meta = _meta(plan, command) | ({"fleet": [one.as_json() for one in fleets]} if fleets else {})
    return Results(meta=meta, rows=tuple(row for one in plan.links for row in _rows(plan, one)))


def _rows(plan: Plan, one: OverLink) -> list[Any]:
    first = one is plan.links[0]
    # What sends nothing is the same on every link, and stands once.
    return [
        found.row(
            pareto=found in one.front,
            accurate=found.candidate.metric.value >= plan.wanted,
            best=found is one.best,
            predicted=True,
        )
        for found in one.forecasts
        if first or found.link is not None
    ]


def _meta(plan: Plan, command: str) -> dict[str, Any]:
    return {
        "isthmus": isthmus.__version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "bundle": plan.bundle.manifest.id,
        "contract_digest": plan.bundle.digest,
        "verdict": " ".join(one.verdict for one in plan.links),
        "links": [_link(one) for one in plan.links],
        "data": plan.figures.data,
        "unsplit": plan.figures.unsplit.model_dump(),
        "accuracy_drop": plan.accuracy_drop,
        "device": plan.sides.device.device.model_dump() | {"kind": plan.sides.device.kind},
        "server": plan.sides.server.device.model_dump() | {"kind": plan.sides.server.kind},
        "cut_error": plan.sides.device.cut_error,
        "remarks": plan.sides.remarks,
        "notes": list(NOTES),
    }


def _link(one: OverLink) -> dict[str, Any]:
    best = one.best
    return {
        "link": str(one.setting.link),
        "load": one.setting.load,
        "instances": one.setting.instances,
        "verdict": one.verdict,
        "best": None if best is None else {"placement": best.candidate.placement, "setting": best.candidate.setting},
        "ranges": [found.as_json() for found in one.ranges],
    }
