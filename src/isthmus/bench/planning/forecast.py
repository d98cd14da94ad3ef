"""What a candidate comes to on one link and one server: latency by stage, bytes, energy, server time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.bench.planning import queueing
from isthmus.bench.planning.candidate import Candidate, together
from isthmus.bench.results import Latency, Row
from isthmus.devices.cost import transfer
from isthmus.devices.cost.table import Seconds
from isthmus.devices.energy.model import modelled
from isthmus.devices.link import LinkProfile
from isthmus.devices.profiles.profile import Profile

TOO_LONG = f"takes over {transfer.KEEPALIVE_S:g} s to send: the stream would break"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What candidates are forecast for.

    Attributes:
        link: between device and server.
        load: part of the server's time that others take.
        instances: of the server.
        answer_bytes: of an answer on the wire.
        profile: of the device, for its energy; None where it has none.
    """

    link: LinkProfile
    load: float = 0.0
    instances: int = 1
    answer_bytes: float = transfer.ANSWER_BYTES
    profile: Profile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One candidate in one setting.

    Attributes:
        candidate: what is done.
        link: None where nothing is sent.
        stages: stage -> seconds, as `bench` names them.
        wire_bytes: of a frame, both ways.
        energy: as `Energy.as_json`, with bounds; None where nothing is known.
        marks: what a reader has to know.
    """

    candidate: Candidate
    link: LinkProfile | None
    stages: Mapping[str, Seconds]
    wire_bytes: float
    energy: Mapping[str, Any] | None
    marks: tuple[str, ...]

    @property
    def latency(self) -> Seconds:
        """From capture to answer."""
        return together(self.stages.values())

    @property
    def device_s(self) -> float:
        """What the device computes for a frame."""
        return together(self.candidate.device.values()).value

    @property
    def server_s(self) -> float:
        """What a frame takes of the server, its wait left out."""
        return together(self.candidate.server.values()).value

    @property
    def above_idle_j(self) -> float | None:
        """Energy of the device beyond what it takes anyway."""
        return None if self.energy is None else self.energy["above_idle"]

    @property
    def is_possible(self) -> bool:
        """Whether the link can carry it."""
        return TOO_LONG not in self.marks

    def row(self, **more: Any) -> Row:  # noqa: ANN401 - fields of the row
        """As in every result file; times in milliseconds."""
        latency = self.latency
        return Row.model_validate(
            {
                "placement": self.candidate.placement,
                "setting": self.candidate.setting,
                "link": None if self.link is None else str(self.link),
                "point": self.candidate.point,
                "frames": 0,
                "dropped": {},
                "recall": None,
                "bytes_payload_mean": self.candidate.payload_bytes,
                "bytes_wire_mean": self.wire_bytes,
                "latency_ms": Latency.model_validate(
                    {"p50": latency.value * 1e3, "p50_low": latency.low * 1e3, "p50_high": latency.high * 1e3}
                ),
                "stages_ms": {stage: spent.value * 1e3 for stage, spent in self.stages.items()},
                "energy_j": None if self.energy is None else dict(self.energy),
                "metric": self.candidate.metric,
                "device_ms": self.device_s * 1e3,
                "server_ms": self.server_s * 1e3,
                "marks": list(self.marks),
                **more,
            }
        )


def forecast(candidate: Candidate, setting: Setting) -> Forecast:
    """Predict one candidate; one that sends nothing is the same on every link.

    Raises:
        UsageError: the load leaves no room.
    """
    if not candidate.sends or candidate.round_trip is None:
        stages = dict(candidate.device)
        return Forecast(
            candidate=candidate,
            link=None,
            stages=stages,
            wire_bytes=0.0,
            energy=_energy(candidate, stages.values(), setting.profile),
            marks=candidate.marks,
        )
    crossing = transfer.exchange(candidate.usual_bytes, setting.answer_bytes)
    server = {f"server {stage}": spent for stage, spent in candidate.server.items() if stage != "handing over"}
    waits = queueing.wait(together(candidate.server.values()).value, setting.load, instances=setting.instances)
    stages = {
        **candidate.device,
        "network": together([candidate.round_trip, transfer.duration(setting.link, crossing)]),
        "server queue": together([waits, *(spent for stage, spent in candidate.server.items() if stage == "handing over")]),
        **server,
    }
    too_long = transfer.sending_s(setting.link, crossing) > transfer.KEEPALIVE_S
    return Forecast(
        candidate=candidate,
        link=setting.link,
        stages=stages,
        wire_bytes=transfer.exchange(candidate.payload_bytes, setting.answer_bytes).wire_bytes,
        energy=_energy(candidate, stages.values(), setting.profile),
        marks=(*candidate.marks, TOO_LONG) if too_long else candidate.marks,
    )


def _energy(candidate: Candidate, stages: Iterable[Seconds], profile: Profile | None) -> dict[str, Any] | None:
    """By the profile's power model; the radio is not in it, and bounds are those of the times."""
    if profile is None or profile.power is None or profile.cores.count is None:
        return None
    computed, latency = together(candidate.device.values()), together(stages)
    found = [
        modelled(profile, duration_s=max(latency.value, cpu_s, 1e-9), cpu_s=cpu_s, cores=profile.cores.count)
        for cpu_s in (computed.value, computed.low, computed.high)
    ]
    value, low, high = found
    assert value is not None
    assert low is not None
    assert high is not None
    bounds = {"above_idle_low": low.above_idle_j, "above_idle_high": high.above_idle_j}
    return value.with_note("one core computes, the radio is not counted").as_json() | bounds
