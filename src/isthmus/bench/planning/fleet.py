"""How large a server many devices need, by simulation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.bench.planning.candidate import Candidate, together
from isthmus.bench.planning.forecast import Setting
from isthmus.bench.planning.simulation import Demand, Fleet, Outcome, simulate
from isthmus.devices.cost import transfer

LOST_MAX = 0.01
"""Share of the frames that may give way to newer ones while their device waits for an answer."""
INSTANCES_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """How large a server has to be for one candidate.

    Attributes:
        candidate: what devices do.
        link: of each device.
        wanted_s: p95 that was asked for.
        outcome: of the smallest server that reaches it; None where none does.
        cores: of it: one for each instance, and what the loops of its processes take.
    """

    candidate: Candidate
    link: str
    wanted_s: float
    outcome: Outcome | None
    cores: int | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        found = self.outcome
        return {
            "placement": self.candidate.placement,
            "setting": self.candidate.setting,
            "link": self.link,
            "p95_wanted_ms": 1e3 * self.wanted_s,
            "cores": self.cores,
            "instances": None if found is None else found.instances,
            "p50_ms": None if found is None else 1e3 * found.p50_s,
            "p95_ms": None if found is None else 1e3 * found.p95_s,
            "queue_p95_ms": None if found is None else 1e3 * found.queue_p95_s,
            "lost_share": None if found is None else found.lost_share,
            "busy_share": None if found is None else found.busy_share,
        }


def demand(candidate: Candidate, setting: Setting) -> Demand:
    """What a frame of a candidate takes; it must be one that sends.

    Codes are decoded by the server's loop, pictures by an instance.
    """
    assert candidate.round_trip is not None
    crossing = transfer.exchange(candidate.usual_bytes, setting.answer_bytes)
    sending_s = transfer.sending_s(setting.link, crossing)
    on_loop = {"handing over", *(("decode",) if candidate.placement == "split" else ())}
    loop_s = sum(spent.value for stage, spent in candidate.server.items() if stage in on_loop)
    return Demand(
        device_s=together(candidate.device.values()).value,
        sending_s=sending_s,
        service=together(spent for stage, spent in candidate.server.items() if stage not in on_loop),
        beside_s=transfer.duration(setting.link, crossing).value - sending_s + candidate.round_trip.value + loop_s,
        # The server's half of what a round trip takes besides.
        loop_s=candidate.round_trip.value / 2 + loop_s,
    )


def size(candidate: Candidate, setting: Setting, fleet: Fleet) -> Sized:
    """The least number of instances with which the fleet has its p95 and loses hardly a frame."""
    taken = demand(candidate, setting)
    wanted_s = fleet.p95_s or 1.5 * taken.alone_s
    outcome = _smallest(lambda instances: simulate(taken, fleet, instances), wanted_s, _least(taken, fleet))
    loops = math.ceil(fleet.frames_per_s * taken.loop_s)
    cores = None if outcome is None else outcome.instances + loops
    return Sized(candidate=candidate, link=str(setting.link), wanted_s=wanted_s, outcome=outcome, cores=cores)


def _least(taken: Demand, fleet: Fleet) -> int:
    """Fewer could not even keep up."""
    return max(1, math.ceil(fleet.frames_per_s * taken.service.value * (1 - LOST_MAX)))


def _smallest(outcome_of: Callable[[int], Outcome], wanted_s: float, least: int) -> Outcome | None:
    def is_enough(found: Outcome) -> bool:
        return found.p95_s <= wanted_s and found.lost_share <= LOST_MAX

    too_few, enough = least - 1, least
    best = outcome_of(enough)
    while not is_enough(best):
        # Where a server with an instance for every frame is too slow, no larger one helps.
        if enough > INSTANCES_MAX or best.queue_p95_s <= 0:
            return None
        too_few, enough = enough, 2 * enough
        best = outcome_of(enough)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        found = outcome_of(middle)
        if is_enough(found):
            best, enough = found, middle
        else:
            too_few = middle
    return best
