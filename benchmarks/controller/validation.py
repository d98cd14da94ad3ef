"""The simulation beside the real thing: agent, shaper and server as they run, over sockets and by the clock on the wall.

The server and the shaper are processes; the agent runs here, as `isthmus run` has it. When the recording began for the shaper and
when the first frame was captured is measured, and the simulation begins there; device and server take as long in it as they did.
For the controller the device answers what is late, as it does by default; such frames do not count as in time. For the fixed
placements nobody does.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from benchmarks.controller.choice_table import ChoiceTable
from benchmarks.controller.policy import Controlled
from benchmarks.controller.recordings import Recording
from benchmarks.controller.runs import CONTROLLER, STANDING_BY, Say
from benchmarks.controller.scenario import Camera, Scenario
from benchmarks.controller.simulation import Fixed, Outcome, Simulation

from isthmus.bench import programs
from isthmus.head.opening import open_agent
from isthmus.head.record import Record
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Callback

if TYPE_CHECKING:
    from benchmarks.controller.material import Material

ROUNDS = 1
"""Times that the agent sees all photos."""
PICTURES = "jpeg-75,jpeg-30,webp-50,webp-15"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One placement on one recording, real and simulated."""

    recording: str
    placement: str
    frames: int
    real_in_time: float
    simulated_in_time: float
    real_score: float
    simulated_score: float
    real_network_ms: float
    """Median of the time that captures and answers spent on the network."""
    simulated_network_ms: float
    wire_bytes: float
    """Of each answered frame, both ways: payload and all around it."""
    payload_bytes: float
    real_time: bool
    """Whether the programs ran with real-time priority."""

    def as_json(self) -> dict[str, Any]:
        """For `results.json`."""
        return asdict(self)


def measure(material: "Material", recordings: Sequence[Recording], camera: Camera, folder: Path, *, say: Say) -> list[Pair]:
    """Run the controller and two fixed placements on every recording, one after the other."""
    source = _frames(material.pictures, folder / f"frames-{ROUNDS}")
    camera = replace(camera, frames=ROUNDS * len(material.new[0].right))
    pairs = []
    with programs.server(material.bundle.origin) as server:
        for recording in recordings:
            for name in ("split full", "offload jpeg-30", CONTROLLER):
                pairs.append(_pair(material, recording, name, camera, source, server.match["grpc"]))
                done = pairs[-1]
                say(
                    f"{done.recording}, {name}: in time {done.real_in_time:.1%} real, {done.simulated_in_time:.1%} simulated; "
                    f"network {done.real_network_ms:.0f} and {done.simulated_network_ms:.0f} ms; "
                    f"{done.wire_bytes:,.0f} bytes on the wire for {done.payload_bytes:,.0f}"
                )
    return pairs


def _frames(pictures: Path, target: Path) -> Path:
    """The photos `ROUNDS` times in one folder, in the order of the tables."""
    target.mkdir(parents=True, exist_ok=True)
    photos = sorted(pictures.rglob("*.jpg"))
    for index in range(ROUNDS * len(photos)):
        link = target / f"{index:05d}.jpg"
        if not link.exists():
            link.symlink_to(photos[index % len(photos)].resolve())
    return target


def _pair(material: "Material", recording: Recording, name: str, camera: Camera, source: Path, tail: str) -> Pair:
    accuracy = {choice.name: choice.accuracy for choice in material.new}
    records: dict[int, Record] = {}

    def keep(record: Record) -> None:
        records[record.sequence] = record

    with programs.shaper(tail, recording.profile) as shaper:
        shaped_s = time.monotonic()
        settings = _settings(name, source, shaper.match["address"], camera)
        with open_agent(material.bundle, settings, [Callback(keep)]) as agent:
            begun_s = time.monotonic()
            agent.run()
    answered = [record for record in records.values() if record.latency_s is not None]
    in_time = [record for record in answered if not record.fallback]
    score = sum(accuracy[_name(record)] for record in answered) / camera.frames
    offset_s = recording.profile.trace_offset_s + begun_s - shaped_s
    scenario = Scenario(material.new, replace(recording.profile, trace_offset_s=offset_s), camera, seed=0, in_order=True)
    _take_times(scenario, records)
    simulated = _simulate(material.known, scenario, name)
    otherwise = float(scenario.accuracy[scenario.local]) if name == CONTROLLER else 0.0
    return Pair(
        recording=recording.name,
        placement=name,
        frames=camera.frames,
        real_in_time=len(in_time) / camera.frames,
        simulated_in_time=float(simulated.in_time.mean()),
        real_score=score,
        simulated_score=simulated.score(scenario.accuracy, otherwise),
        real_network_ms=_median_ms([record.stages_s["network"] for record in records.values() if "network" in record.stages_s]),
        simulated_network_ms=_median_ms(simulated.network_s),
        wire_bytes=programs.passed_bytes(shaper) / max(1, len(answered)),
        real_time=os.sched_getscheduler(0) != os.SCHED_OTHER,
        payload_bytes=sum(record.payload_bytes for record in answered) / max(1, len(answered)),
    )


def _settings(name: str, source: Path, address: str, camera: Camera) -> AgentSettings:
    placements: dict[str, Literal["split", "offload", "auto"]] = {"split full": "split", "offload jpeg-30": "offload"}
    return AgentSettings(
        source=str(source),
        tails=(address,),
        placement=placements.get(name, "auto"),
        picture="jpeg-30" if name.startswith("offload") else PICTURES,
        deadline_s=camera.deadline_s,
        gate=False,
        fps=camera.fps,
        drop_policy="drop-oldest",
        standby=name == CONTROLLER,
        device_id="validation",
    )


def _name(record: Record) -> str:
    return "local" if record.placement == "local" else f"{record.placement} {record.setting}"


def _take_times(scenario: Scenario, records: Mapping[int, Record]) -> None:
    """Let every frame take as long on device and server as it did, and others of the same choice as long as those did usually."""
    for row, choice in enumerate(scenario.choices):
        device, server = {}, {}
        for sequence, record in records.items():
            if _name(record) == choice.name:
                device[sequence] = sum(record.stages_s.get(stage, 0.0) for stage in ("wait", "prepare", "head", "encode"))
                server[sequence] = sum(spent_s for stage, spent_s in record.stages_s.items() if stage.startswith("server "))
        for found, times in ((device, scenario.device_s), (server, scenario.server_s)):
            if found:
                times[row] = np.median(list(found.values()))
                times[row, list(found)] = list(found.values())


def _simulate(known: Sequence[ChoiceTable], scenario: Scenario, name: str) -> Outcome:
    if name == CONTROLLER:
        return Simulation(scenario, Controlled(scenario, known, STANDING_BY)).run()
    row = next(row for row, choice in enumerate(scenario.choices) if choice.name == name)
    return Simulation(scenario, Fixed(scenario, row)).run()


def _median_ms(seconds: Sequence[float]) -> float:
    return 1e3 * float(np.median(seconds)) if seconds else 0.0
