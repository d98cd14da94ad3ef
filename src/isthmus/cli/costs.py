"""What `isthmus bench --profile` does and prints."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from isthmus.bench.words import milliseconds, share, size
from isthmus.cli import guard
from isthmus.cli.results import print_table
from isthmus.errors import ConfigError

if TYPE_CHECKING:
    from isthmus.bench.progress import Progress
    from isthmus.devices.cost.table import CostTable, Seconds

_KERNELS_SHOWN = 8


def profile(
    bundle: Path,
    output: Path,
    source: str,
    *,
    device: str | None,
    predict: Sequence[str],
    as_json: bool,
    on_progress: "Callable[[Progress], None]",
) -> None:
    """Measure costs, predict them for other devices, write the tables, print the measured one."""
    from isthmus.bench import costs
    from isthmus.devices.cost.prediction import peak_of
    from isthmus.devices.cost.prediction import predict as predicted_for
    from isthmus.devices.profiles import catalog

    profiles = [catalog.load(name) for name in predict]
    for one in profiles:
        # Before minutes are spent on measuring.
        peak_of(one)
    measured = costs.profile(bundle, source, device=device, on_progress=on_progress)
    tables = [measured, *(predicted_for(measured, one, created=costs.now()) for one in profiles)]
    written = [_write(bundle, output, table) for table in tables]
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
        return
    for table, path in zip(tables, written, strict=True):
        _print(table)
        guard.out.print(f"Written: {path}", highlight=False, markup=False)


def _write(bundle: Path, output: Path, table: "CostTable") -> Path:
    """Beside the bundle; into the folder of results where that cannot be written to."""
    from isthmus.bench.output import write_whole
    from isthmus.devices.cost.table import path_beside

    path = path_beside(bundle, table.device.profile if table.kind == "predicted" else None)
    try:
        write_whole(path, table.model_dump_json(indent=2) + "\n")
    except ConfigError:
        path = output / path.name
        write_whole(path, table.model_dump_json(indent=2) + "\n")
    return path


def _print(table: "CostTable") -> None:
    where = table.device.cpu_model or f"profile {table.device.profile}"
    guard.out.print(f"[bold]Costs of {escape(table.bundle)} on {escape(where)}, {table.kind}[/bold]", highlight=False)
    if table.prediction is not None:
        lines = [f"From {table.prediction.from_cpu}; {table.prediction.method}.", f"Error: {table.prediction.error}."]
    else:
        lines = [f"Unsteady, a trial and no result: {'; '.join(table.unsteady_because)}."] if not table.steady else []
    for line in lines:
        guard.out.print(line, highlight=False, markup=False)
    rows = [[name, milliseconds(one.value * 1e3), _bounds(one)] for name, one in table.stages.items()]
    print_table("Stages", ["stage", "ms", "from to"], rows)
    networks = [
        [
            name,
            milliseconds(cost.total.value * 1e3),
            _bounds(cost.total),
            "not known" if cost.resident_bytes is None else size(cost.resident_bytes),
            _longest(table, name),
        ]
        for name, cost in table.networks.items()
    ]
    print_table("Networks", ["file", "ms", "from to", "memory", "by operator"], networks, left=("by operator",))
    if table.cuts:
        _print_cuts(table)


def _longest(table: "CostTable", name: str) -> str:
    """Where a network's time goes, by operator."""
    network = table.networks[name]
    spent: dict[str, float] = {}
    for kernel in network.kernels:
        spent[kernel.operator] = spent.get(kernel.operator, 0.0) + kernel.seconds
    total = sum(spent.values()) or 1.0
    longest = sorted(spent.items(), key=lambda item: -item[1])[:_KERNELS_SHOWN]
    return ", ".join(f"{operator} {seconds / total:.0%}" for operator, seconds in longest if seconds / total >= 0.01)


def _print_cuts(table: "CostTable") -> None:
    rows = [
        [
            str(cut.index),
            ", ".join(cut.tensors),
            share(cut.flops_share),
            "not known" if cut.bytes is None else size(cut.bytes),
            milliseconds(cut.before.value * 1e3),
            milliseconds(cut.after.value * 1e3),
        ]
        for cut in table.cuts
    ]
    print_table("Cuts of whole.onnx", ["cut", "crosses", "FLOPs", "bytes", "ms before", "ms after"], rows, left=("crosses",))
    if table.cut_error is not None:
        words = (
            f"Heads that were cut and timed differ from these sums by {table.cut_error:.1%} of the whole network's time at most."
        )
        guard.out.print(words, highlight=False)


def _bounds(seconds: "Seconds") -> str:
    return f"{milliseconds(seconds.low * 1e3)} to {milliseconds(seconds.high * 1e3)}"
