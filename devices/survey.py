"""What this machine can do and measure, and what is missing: the matter of `isthmus device probe`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.detect import Machine
from isthmus.devices.profiles import expectation
from isthmus.devices.profiles.profile import Profile
from isthmus.devices.sensors import clocks, discovery, memory, pressure, rate, thermal, throttling
from isthmus.devices.sensors.power import Found, PowerSensor, Problem, whole
from isthmus.devices.sensors.rate import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found.

    Attributes:
        sensors: every power sensor with the rate at which it can be read; None where it stopped answering.
        chosen: those whose sum stands for the machine; none where energy cannot be measured.
        energy: in words: measured by what, modelled from what, or not measured.
        missing: what is not there or cannot be used, each with what to do.
        memory: of the machine.
    """

    sensors: tuple[tuple[PowerSensor, Rate | None], ...]
    chosen: tuple[PowerSensor, ...]
    energy: str
    missing: tuple[Problem, ...]
    memory: memory.Memory


def survey(machine: Machine, profile: Profile | None, root: Path = Path("/"), *, seconds: float = 0.25) -> Survey:
    """Look at the machine.

    Args:
        machine: what `devices.detect` found.
        profile: its profile, if it has one.
        root: where `proc` and `sys` lie.
        seconds: for timing each power sensor.
    """
    found = expectation.scoped(discovery.find(root), profile)
    chosen = whole(found.sensors)
    return Survey(
        sensors=tuple((sensor, rate.measure(sensor, seconds=seconds)) for sensor in found.sensors),
        chosen=chosen,
        energy=_energy(chosen, profile),
        missing=tuple(_missing(machine, profile, found, root)),
        memory=memory.look(root),
    )


def _energy(chosen: tuple[PowerSensor, ...], profile: Profile | None) -> str:
    if chosen:
        return f"measured: {' + '.join(f'{sensor.source} {sensor.name}' for sensor in chosen)}, scope {chosen[0].scope}"
    if profile is not None and profile.power is not None:
        model = profile.power
        return f"modelled: {model.idle_w:g} W idle to {model.busy_w:g} W busy, {model.source}; {model.checked}"
    return "not measured: no power sensor, and no power model in the profile"


def _missing(machine: Machine, profile: Profile | None, found: Found, root: Path) -> Iterator[Problem]:
    if profile is None:
        why = f"there is no profile for {machine.architecture}"
        yield Problem(sensor="profile", why=why, advice="write one as TOML and name it with --profile")
    if machine.onnxruntime is None:
        why = machine.onnxruntime_problem or "it is not installed"
        yield Problem(sensor="onnxruntime", why=why, advice="pip install 'isthmus[head]'")
    elif profile is not None:
        yield from _providers(machine, profile)
    yield from found.problems
    if profile is not None and not found.problems:
        yield from expectation.missing(profile, found)
    if not thermal.zones(root):
        yield Problem(
            sensor="temperature", why="no thermal zone below /sys/class/thermal", advice="containers have to be given /sys"
        )
    if not clocks.clocks(root):
        yield Problem(
            sensor="clocks", why="no cpufreq driver", advice="usual for virtual machines; clocks cannot be watched here"
        )
    if throttling.look(root) is None:
        yield Problem(sensor="throttling", why="nothing tells of it", advice="look at temperatures instead")
    if not pressure.look(root):
        yield Problem(sensor="pressure", why="no /proc/pressure", advice="start the kernel with psi=1")


def _providers(machine: Machine, profile: Profile) -> Iterator[Problem]:
    here = machine.onnxruntime_providers or ()
    # A GPU is not in every machine of a general profile; a board's is.
    if profile.match.board:
        for name in profile.providers:
            if name not in here:
                advice = "install the GPU build of onnxruntime for this board, or run on what there is"
                yield Problem(sensor=name, why="onnxruntime here is built without it", advice=advice)
