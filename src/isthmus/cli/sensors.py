"""`isthmus device sensors`: what the machine measures of itself, now."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.bundles import JsonOption
from isthmus.cli.quantity import seconds
from isthmus.cli.results import print_json

if TYPE_CHECKING:
    from isthmus.devices.sensors.panel import Line


@guard.guarded
def sensors(
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again until interrupted.")] = False,
    every: Annotated[str, typer.Option(help="Time between looks, as 500ms or 2s.")] = "1s",
    looks: Annotated[int | None, typer.Option(min=1, help="End after so many looks.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read power, temperature, clocks, throttling, batteries, load, memory and pressure.

    What is not there has no line; what is there and cannot be read says why. With --watch, --json prints one JSON text a look.
    """
    from isthmus.devices.sensors import panel

    pause_s = seconds(every, "--every")
    count = looks if watch or looks else 1
    if as_json:
        for _ in _looks(count, pause_s):
            print_json({"command": "device sensors", "time_unix_s": time.time()}, [asdict(line) for line in panel.read()])
        return
    if count == 1:
        guard.out.print(_table(panel.read()))
        return
    with Live(console=guard.out, auto_refresh=False) as live:
        for _ in _looks(count, pause_s):
            live.update(_table(panel.read()), refresh=True)


def _looks(count: int | None, pause_s: float) -> Iterator[int]:
    """Count looks, with a pause between them; without end when there is no count."""
    for look in itertools.count() if count is None else range(count):
        if look:
            time.sleep(pause_s)
        yield look


def _table(lines: "list[Line]") -> Table:
    table = Table(title=Text("Sensors"), title_justify="left", header_style="bold")
    for name in ("kind", "sensor", "value", "note"):
        table.add_column(name, justify="right" if name == "value" else "left", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, (line.kind, line.sensor, _value(line), line.note)))
    return table


def _value(line: "Line") -> str:
    if line.value is None:
        return "no answer"
    if isinstance(line.value, str):
        return line.value
    if line.unit == "bytes":
        return size(line.value)
    return f"{line.value:.1%}" if line.unit == "share" else f"{line.value:,.2f} {line.unit}"
