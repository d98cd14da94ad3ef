"""Energy of each placement: blocks of its own, behind the interleaved part.

In the interleaved part cells take turns of some milliseconds, shorter than what most sensors resolve. So every cell answers
frames for some seconds alone, between two measurements of the idle machine, and the energy is divided by the frames.
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from isthmus.devices import detect
from isthmus.devices.energy.meter import EnergyMeter
from isthmus.devices.energy.model import modelled
from isthmus.devices.energy.quantity import Energy, above_idle
from isthmus.devices.profiles import catalog, expectation
from isthmus.devices.profiles.profile import Profile
from isthmus.devices.sensors import discovery
from isthmus.devices.sensors.power import PowerSensor, Problem, whole
from isthmus.errors import IsthmusError, TailUnavailable

SHARED = "device and server run on this machine, both are counted"
DEVICE_ONLY = "the program that stands for the device alone"
FRAMES_KEPT = 32
"""Frames of the sequence that the blocks go round in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """How energy is found on this machine.

    Attributes:
        sensors: they are added up; none: the profile's power model is taken.
        profile: of the machine.
        problems: sensors that are there and cannot be used.
        block_s: each cell works so long.
        idle_s: the machine rests so long before and after.
    """

    sensors: tuple[PowerSensor, ...] = ()
    profile: Profile | None = None
    problems: tuple[Problem, ...] = ()
    block_s: float = 4.0
    idle_s: float = 3.0

    @property
    def words(self) -> str:
        """By what energy is found, or why it is not."""
        if self.sensors:
            return f"measured by {' + '.join(f'{one.source} {one.name}' for one in self.sensors)}, scope {self.sensors[0].scope}"
        if self.profile is not None and self.profile.power is not None:
            return f"modelled by the profile {self.profile.name}: {self.profile.power.source}; {self.profile.power.checked}"
        why = "; ".join(f"{problem.why}; {problem.advice}" for problem in self.problems)
        return f"not measured: {why or 'no power sensor here, and no power model of this machine'}"

    @property
    def is_possible(self) -> bool:
        """Whether there is a sensor or a model."""
        return bool(self.sensors) or (self.profile is not None and self.profile.power is not None)


def here(device: str | None = None, root: Path = Path("/")) -> Metering:
    """How energy is found on this machine.

    Args:
        device: name or file of its profile; chosen by what the machine says when None.
        root: where `proc` and `sys` lie.

    Raises:
        ConfigError: there is no such profile.
    """
    profile = catalog.choose(platform.machine(), detect.board(root)) if device is None else catalog.load(device)
    found = expectation.scoped(discovery.find(root), profile)
    return Metering(sensors=whole(found.sensors), profile=profile, problems=found.problems)


def measure(
    works: Sequence[Callable[[np.ndarray], object]],
    frames: Sequence[np.ndarray],
    metering: Metering,
    *,
    sends: Sequence[bool],
) -> list[Energy | IsthmusError]:
    """Energy for one frame of each cell, or why there is none.

    Args:
        works: answers a frame, one for each cell.
        frames: at least one.
        metering: of a machine on which it is possible.
        sends: whether the cell sends to the server on this machine.
    """
    if not metering.sensors:
        return [_tried(partial(_modelled, work, frames, metering)) for work in works]
    with EnergyMeter(metering.sensors) as meter:
        found = [_tried(partial(_measured, work, frames, metering, meter)) for work in works]
    return [
        one.with_note(SHARED) if sending and isinstance(one, Energy) else one for one, sending in zip(found, sends, strict=True)
    ]


def _tried(attempt: Callable[[], Energy]) -> Energy | IsthmusError:
    """One cell whose server or sensor fails leaves the others theirs."""
    try:
        return attempt()
    except IsthmusError as error:
        return error
    except TimeoutError:
        return TailUnavailable("no answer came in time")


def _measured(
    work: Callable[[np.ndarray], object], frames: Sequence[np.ndarray], metering: Metering, meter: EnergyMeter
) -> Energy:
    before = meter.idle(metering.idle_s)
    started = meter.now()
    count = _block(work, frames, metering.block_s)
    total = meter.energy(started, meter.now())
    after = meter.idle(metering.idle_s)
    return above_idle(total, before, after).per_inference(count)


def _modelled(work: Callable[[np.ndarray], object], frames: Sequence[np.ndarray], metering: Metering) -> Energy:
    assert metering.profile is not None
    started, used = time.monotonic(), time.process_time()
    count = _block(work, frames, metering.block_s)
    duration_s, cpu_s = time.monotonic() - started, time.process_time() - used
    # All cores of the machine, whichever of them this process may use: the model is of all of them.
    cores = metering.profile.cores.count or os.cpu_count() or 1
    found = modelled(metering.profile, duration_s=duration_s, cpu_s=cpu_s, cores=cores)
    assert found is not None
    return found.per_inference(count).with_note(DEVICE_ONLY)


def _block(work: Callable[[np.ndarray], object], frames: Sequence[np.ndarray], seconds: float) -> int:
    """Work for so long and at least once; how often it was."""
    count, until = 0, time.monotonic() + seconds
    while not count or time.monotonic() < until:
        work(frames[count % len(frames)])
        count += 1
    return count
