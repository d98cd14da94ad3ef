"""`isthmus device`: what this machine is."""

import dataclasses
from typing import Annotated

import typer

from isthmus.bench.words import size
from isthmus.cli import doctor, guard, unit
from isthmus.cli.results import print_json, print_table

app = typer.Typer(help="What this machine is and what it can measure.", no_args_is_help=True)


@app.command("probe")
@guard.guarded
def probe(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show processor, memory, board, onnxruntime and its providers."""
    from isthmus.devices.detect import detect
    from isthmus.devices.memory import resident_bytes

    machine = detect()
    facts = {field.name: getattr(machine, field.name) for field in dataclasses.fields(machine)}
    facts["this process resident_bytes"] = resident_bytes()
    if as_json:
        print_json({"command": "device probe"}, [_plain(facts)])
        return
    rows = [[name, size(value) if name.endswith("bytes") else _words(value)] for name, value in facts.items()]
    print_table("This machine", ["what", "value"], rows)


def _plain(facts: dict[str, object]) -> dict[str, object]:
    return {
        name.replace(" ", "_"): dataclasses.asdict(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else value
        for name, value in facts.items()
    }


def _words(value: object) -> str:
    if value is None:
        return "not known"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ", ".join(f"{key} {_words(part)}" for key, part in dataclasses.asdict(value).items() if part)
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return str(value)


def _later(name: str, purpose: str) -> None:
    @app.command(name, help=f"{purpose} [dim](not built yet)[/dim]")
    @guard.guarded
    def command() -> None:
        raise guard.later(f"`isthmus device {name}`", "`isthmus device probe` shows what is known of this machine")


_later("sensors", "Read power, temperature, clocks.")
_later("profiles", "List the device profiles.")
app.command("doctor")(doctor.doctor)
app.command("init")(unit.init)
