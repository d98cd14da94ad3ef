"""`isthmus device profiles`: what is known beforehand of kinds of devices."""

import platform
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import guard
from isthmus.cli.bundles import JsonOption
from isthmus.cli.results import print_json, print_table

if TYPE_CHECKING:
    from isthmus.devices.profiles.profile import Profile


@guard.guarded
def profiles(
    name: Annotated[str | None, typer.Argument(metavar="NAME|FILE", help="One profile, or a TOML file of your own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the device profiles, or show one with its sources; `*` marks the one of this machine."""
    from isthmus.devices import detect
    from isthmus.devices.profiles import catalog

    here = catalog.choose(platform.machine(), detect.board())
    mine = None if here is None else here.name
    shown = [catalog.load(each) for each in catalog.names()] if name is None else [catalog.load(name)]
    if as_json:
        print_json({"command": "device profiles", "this_machine": mine}, [profile.model_dump(mode="json") for profile in shown])
    elif name is None:
        rows = [_row(profile, mine) for profile in shown]
        columns = ["profile", "device", "cores", "power", "checked"]
        print_table("Device profiles", columns, rows, left=tuple(columns))
    else:
        _print(shown[0])


def _row(profile: "Profile", mine: str | None) -> list[str]:
    cores = profile.cores
    known = f"{cores.count} x {cores.model}, {cores.clock_mhz or 0:.0f} MHz" if cores.count else "not fixed"
    return [f"{'* ' if profile.name == mine else ''}{profile.name}", profile.title, known, _power(profile), profile.checked]


def _power(profile: "Profile") -> str:
    sensors = " or ".join(dict.fromkeys(f"{one.source} ({one.scope})" for one in profile.sensors.power))
    model = profile.power
    return ", else ".join(filter(None, [sensors, f"model {model.idle_w:g} to {model.busy_w:g} W" if model else "not measured"]))


def _print(profile: "Profile") -> None:
    """Every field with its place, as it would stand in TOML."""
    rows = [[name, value] for name, value in _flat(profile.model_dump(mode="json", exclude_none=True)) if value != ""]
    print_table(profile.title, ["field", "value"], rows, left=("value",))


def _flat(value: object, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _flat(part, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [pair for index, part in enumerate(value) for pair in _flat(part, f"{name}.{index}")]
    return [(name, "; ".join(map(str, value)) if isinstance(value, list) else str(value))]
