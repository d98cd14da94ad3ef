"""`isthmus device`: what this machine is."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.bench.words import size
from isthmus.cli import doctor, guard, profiles, sensors, unit, updating
from isthmus.cli.bundles import JsonOption
from isthmus.cli.results import print_json, print_table

if TYPE_CHECKING:
    from isthmus.devices.profiles.profile import Profile
    from isthmus.devices.sensors.power import PowerSensor
    from isthmus.devices.sensors.rate import Rate
    from isthmus.devices.survey import Survey

app = typer.Typer(help="What this machine is and what it can measure.", no_args_is_help=True)


@app.command("probe")
@guard.guarded
def probe(
    profile: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Profile to compare with; found by itself when left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show processor, memory, board, onnxruntime, power sensors with their rates, and what is missing."""
    from isthmus.devices.detect import detect
    from isthmus.devices.memory import resident_bytes
    from isthmus.devices.profiles import catalog
    from isthmus.devices.survey import survey

    machine = detect()
    chosen = catalog.choose(machine.architecture, machine.board) if profile is None else catalog.load(profile)
    found = survey(machine, chosen)
    facts: dict[str, Any] = {field.name: getattr(machine, field.name) for field in dataclasses.fields(machine)}
    facts |= {
        "memory_available_bytes": found.memory.available_bytes,
        "this_process_resident_bytes": resident_bytes(),
        "profile": None if chosen is None else chosen.name,
        "energy": found.energy,
    }
    if as_json:
        lists = {
            "power_sensors": [_sensor(sensor, rate) for sensor, rate in found.sensors],
            "missing": [dataclasses.asdict(problem) for problem in found.missing],
        }
        print_json({"command": "device probe"}, [facts | lists])
        return
    _print(facts, chosen, found)


def _sensor(sensor: "PowerSensor", rate: "Rate | None") -> dict[str, Any]:
    """A sensor without the function that reads it."""
    facts = {name: getattr(sensor, name) for name in ("source", "name", "scope", "quantity", "place", "rate_max_hz", "wraps_j")}
    return facts | {"rate": None if rate is None else dataclasses.asdict(rate)}


def _print(facts: dict[str, Any], profile: "Profile | None", found: "Survey") -> None:
    rows = [
        [
            name.removesuffix("_bytes").replace("_", " "),
            size(value) if name.endswith("bytes") and value is not None else _words(value),
        ]
        for name, value in facts.items()
        if name != "onnxruntime_problem" or value is not None
    ]
    print_table("This machine", ["what", "value"], rows, left=("value",))
    if profile is not None:
        guard.out.print(f"Profile {profile.name}: {profile.title}; checked {profile.checked}", highlight=False, markup=False)
    if found.sensors:
        print_table(
            "Power sensors",
            ["sensor", "scope", "tells", "reads/s", "new values/s", "where"],
            [
                [
                    f"{sensor.source} {sensor.name}",
                    sensor.scope,
                    sensor.quantity,
                    "gone" if rate is None else f"{rate.reads_hz:,.0f}",
                    "gone" if rate is None else f"{rate.new_hz:,.0f}",
                    sensor.place,
                ]
                for sensor, rate in found.sensors
            ],
            left=("scope", "tells", "where"),
        )
    missing = [[problem.sensor, problem.why, problem.advice] for problem in found.missing]
    print_table("Missing", ["what", "why", "what to do"], missing, left=("why", "what to do"))


def _words(value: object) -> str:
    if value is None:
        return "not known"
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


app.command("sensors")(sensors.sensors)
app.command("profiles")(profiles.profiles)
app.command("doctor")(doctor.doctor)
app.command("init")(unit.init)
app.add_typer(updating.app, name="update")
