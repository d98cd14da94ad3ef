"""A small fleet with the real server beside its simulation: several streams, one instance, frames at random."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from benchmarks.planning.networks import Known, Say

from isthmus.bench import costs, programs
from isthmus.bench.planning import fleet
from isthmus.bench.planning.candidate import Candidate
from isthmus.bench.planning.forecast import Setting
from isthmus.bench.planning.simulation import Demand, Fleet, simulate
from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices import link as links
from isthmus.head.link import Link
from isthmus.head.placement import Offload, Split
from isthmus.head.source import open_source

DEVICES, PASS_SHARE = 6, 0.5
LOADS = (0.3, 0.6)
"""Of the instance's time; streams and server share this machine's cores."""
SECONDS = 20.0
LIGHT_S = 0.004
"""Of an instance for a frame: what takes less, the streams of this machine cannot keep it busy with."""
SEEDS = 5
"""Simulations, of which the medians count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """One load; times in milliseconds from capture to answer, the device's own left out."""

    network: str
    placement: str
    load: float
    fps: float
    frames: int
    p50_ms: float
    p95_ms: float
    simulated_p50_ms: float
    simulated_p95_ms: float
    lost_share: float

    def as_json(self) -> dict[str, Any]:
        """For results."""
        return asdict(self)

    @property
    def line(self) -> str:
        """For people."""
        return (
            f"{self.network:12} {self.placement:18} {self.load:5.0%} {self.fps:6.1f} {self.frames:6} {self.p50_ms:8.1f} "
            f"{self.simulated_p50_ms:8.1f} {self.p95_ms:8.1f} {self.simulated_p95_ms:8.1f} "
            f"{self.simulated_p95_ms / self.p95_ms:6.2f} {self.lost_share:6.1%}"
        )


HEADER = (
    f"{'network':12} {'placement':18} {'load':>5} {'fps':>6} {'frames':>6} {'p50 ms':>8} {'sim ms':>8} "
    f"{'p95 ms':>8} {'sim ms':>8} {'ratio':>6} {'lost':>6}"
)


def run(known: Known, offered: Sequence[Candidate], *, say: Say) -> list[Crowd]:
    """The first operating point and a picture, at every load.

    Args:
        known: the bundle.
        offered: its candidates, by the costs of this machine.
        say: told what is measured.
    """
    with open_source(str(known.pictures)) as frames:
        pictures = [frame.image for _, frame in zip(range(costs.PICTURES), iter(frames.read, None), strict=False)]
    found = []
    for placement in (Split(known.bundle), Offload("jpeg", 75)):
        candidate = next(one for one in offered if (one.placement, one.setting) == (placement.name, placement.setting))
        # Frames are ready to be sent: this is about the server.
        taken = replace(fleet.demand(candidate, Setting(link=links.parse("unlimited"))), device_s=0.0)
        if taken.service.value < LIGHT_S:
            continue
        captures = [placement.pack(picture).capture for picture in pictures]
        for load in LOADS:
            say(f"{known.name}: {DEVICES} streams of {candidate.name} at a load of {load:.0%}")
            found.append(_at(known, candidate, taken, captures, load))
    return found


def _at(known: Known, candidate: Candidate, taken: Demand, captures: Sequence[wire.Capture], load: float) -> Crowd:
    fps = load / (taken.service.value * DEVICES * PASS_SHARE)
    asked = Fleet(devices=DEVICES, fps=fps, pass_share=PASS_SHARE)
    simulated = [simulate(taken, asked, 1, seed=seed) for seed in range(SEEDS)]
    with programs.server(known.bundle.origin) as server:
        latencies_s, lost = _measured(known, captures, asked, server.match["grpc"])
    p50, p95 = np.percentile(latencies_s, (50, 95)) * 1e3
    return Crowd(
        network=known.name,
        placement=candidate.name,
        load=load,
        fps=fps,
        frames=len(latencies_s),
        p50_ms=float(p50),
        p95_ms=float(p95),
        simulated_p50_ms=1e3 * float(np.median([one.p50_s for one in simulated])),
        simulated_p95_ms=1e3 * float(np.median([one.p95_s for one in simulated])),
        lost_share=lost / max(1, lost + len(latencies_s)),
    )


def _measured(known: Known, captures: Sequence[wire.Capture], asked: Fleet, address: str) -> tuple[list[float], int]:
    devices = [_Device(known, captures, asked, address, seed) for seed in range(asked.devices)]
    threads = [threading.Thread(target=device.run) for device in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [spent for device in devices for spent in device.latencies_s], sum(device.lost for device in devices)


class _Device:
    """One stream whose frames are ready to be sent."""

    def __init__(self, known: Known, captures: Sequence[wire.Capture], asked: Fleet, address: str, seed: int) -> None:
        self._known, self._captures, self._asked, self._address = known, captures, asked, address
        self._random = random.Random(seed)
        self._seed = seed
        self.latencies_s: list[float] = []
        self.lost = 0

    def run(self) -> None:
        with Link(self._known.bundle, [self._address], device_id=f"crowd-{self._seed}") as link:
            link.wait_connected(30)
            time.sleep(1)
            begun_s = time.perf_counter() + self._random.uniform(0, 1 / self._asked.fps)
            for index in range(int(SECONDS * self._asked.fps)):
                captured_s = begun_s + index / self._asked.fps
                time.sleep(max(0.0, captured_s - time.perf_counter()))
                if self._random.random() < self._asked.pass_share:
                    self._send(link, index, captured_s)
            time.sleep(1)

    def _send(self, link: Link, index: int, captured_s: float) -> None:
        if not link.wait_credit(0):
            self.lost += 1
            return
        capture = wire.Capture()
        capture.CopyFrom(self._captures[index % len(self._captures)])
        capture.sequence = index
        link.send(capture).add_done_callback(self._answered(captured_s))

    def _answered(self, captured_s: float) -> Callable[[object], None]:
        return lambda _future: self.latencies_s.append(time.perf_counter() - captured_s)
