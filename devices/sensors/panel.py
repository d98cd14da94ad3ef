"""All sensors in one look, as lines for people and programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.sensors import clocks, discovery, load, memory, pressure, supply, thermal, throttling
from isthmus.errors import DeviceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one sensor says.

    Attributes:
        kind: `power`, `energy`, `temperature`, `clock`, `throttling`, `battery`, `load`, `memory`, `pressure`.
        sensor: which one.
        value: number or words; None where it is there and does not answer.
        unit: of a number.
        note: scope, or why there is no value and what to do.
    """

    kind: str
    sensor: str
    value: float | str | None
    unit: str = ""
    note: str = ""


def read(root: Path = Path("/")) -> list[Line]:
    """Look at everything that is there now; what is not there has no line."""
    return [
        *_power(root),
        *(Line(kind="temperature", sensor=f"{z.name} {z.kind}", value=z.temperature_c, unit="C") for z in thermal.zones(root)),
        *_clocks(root),
        *_throttling(root),
        *_batteries(root),
        *_load(root),
        *_memory(root),
        *(
            Line(
                kind="pressure", sensor=resource, value=waiting.share, unit="share", note="of the last 10 s in which tasks waited"
            )
            for resource, waiting in pressure.look(root).items()
        ),
    ]


def _power(root: Path) -> Iterator[Line]:
    found = discovery.find(root)
    for sensor in found.sensors:
        name, unit = f"{sensor.source} {sensor.name}", "J" if sensor.quantity == "energy" else "W"
        try:
            yield Line(kind=sensor.quantity, sensor=name, value=sensor.read(), unit=unit, note=sensor.scope)
        except DeviceError as error:
            yield Line(kind=sensor.quantity, sensor=name, value=None, unit=unit, note=str(error))
    for problem in found.problems:
        yield Line(kind="power", sensor=problem.sensor, value=None, note=f"{problem.why}; {problem.advice}")


def _clocks(root: Path) -> Iterator[Line]:
    for clock in clocks.clocks(root):
        limit = "" if clock.limit_khz is None else f", up to {clock.limit_khz / 1000:.0f} MHz"
        value = None if clock.now_khz is None else clock.now_khz / 1000
        note = f"governor {clock.governor or 'not known'}{limit}"
        yield Line(kind="clock", sensor=f"core {clock.core}", value=value, unit="MHz", note=note)


def _throttling(root: Path) -> Iterator[Line]:
    state = throttling.look(root)
    if state is None:
        return
    since = ", ".join(state.since_start)
    events = "" if state.events is None else f"{state.events} events since the start"
    note = ", ".join(filter(None, [f"since the start: {since}" if since else "", events]))
    yield Line(kind="throttling", sensor="hardware", value=", ".join(state.now) or "none", note=note)


def _batteries(root: Path) -> Iterator[Line]:
    for battery in supply.batteries(root):
        note = "being emptied" if supply.is_discharging(battery) else ""
        yield Line(kind="battery", sensor=battery.name, value=supply.share(battery), unit="share", note=note)


def _load(root: Path) -> Iterator[Line]:
    now = load.look(root)
    if now is not None and now.average is not None:
        yield Line(kind="load", sensor="mean of a minute", value=now.average, unit="tasks")


def _memory(root: Path) -> Iterator[Line]:
    found = memory.look(root)
    for name, value in (("total", found.total_bytes), ("available", found.available_bytes), ("swap used", found.swap_used_bytes)):
        if value is not None:
            yield Line(kind="memory", sensor=name, value=value, unit="bytes")
