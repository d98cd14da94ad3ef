"""`isthmus cuts`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.bundles import JsonOption
from isthmus.cli.exporting import ModelArgument
from isthmus.cli.results import print_json, print_table
from isthmus.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from isthmus.export.cutting.cuts import Cut

_BAR_COLUMNS = 18
_NAME_COLUMNS = 44
"""Characters shown of a tensor's name; its number names the cut as well."""
_WIDE_COLUMNS = 120
"""Of a terminal that has room for every column; a narrower one would break words and numbers."""
_NARROW_NAME_COLUMNS = 20
_WIDE_ONLY = ("after", "parameters", "bytes, log")


def cuts(
    model: ModelArgument,
    everything: Annotated[bool, typer.Option("--all", help="Every cut, however many tensors cross.")] = False,
    max_tensors: Annotated[int, typer.Option(min=1, help="Most tensors that may cross at once in what is shown.")] = 4,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the bytes along the FLOPs.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List where a network can be cut, with what would cross there and what the device would compute.

    Shown are the narrowest single tensor between two pieces of arithmetic, and several tensors where they are narrower still.

    `>` marks the cut that `--cut auto` takes.
    """
    from isthmus.export.cutting import cuts as places
    from isthmus.export.cutting.listing import shortlist
    from isthmus.export.doors.opening import open_model
    from isthmus.export.graph.flow import data_inputs, size_bytes

    if plot is not None and plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot} would hold an SVG; let its name end with .svg")
    source = open_model(model)
    found = places.enumerate(source.model)
    automatic = _automatic(found)
    input_bytes = sum(size_bytes(value) or 0 for value in data_inputs(source.model.graph))
    if plot is not None:
        _plot(plot, source.name, found, input_bytes, automatic, max_tensors)
    if as_json:
        _print_json(model, source.dynamic_batch, input_bytes, found, automatic)
        return
    shown = found if everything else shortlist(found, max_tensors=max_tensors)
    if automatic is not None and automatic not in shown:
        shown = sorted([*shown, automatic], key=lambda cut: cut.index)
    _print_table(source.name, input_bytes, found, shown, automatic)
    _tell_of_floats(found, automatic)
    if plot is not None:
        guard.err.print(f"drawn: {plot}", highlight=False, markup=False)
    best = "auto" if automatic is not None else str(shown[0].index) if shown else "TENSOR"
    guard.err.print(f"Next: isthmus export {model} -o bundle.isthmus --cut {best} --data PICTURES", highlight=False, markup=False)


def _automatic(found: list["Cut"], *, floats_only: bool = False) -> "Cut | None":
    from isthmus.export.cutting import cuts as places

    try:
        return places.find(found, "auto", floats_only=floats_only)
    except UsageError:
        return None


def _tell_of_floats(found: list["Cut"], automatic: "Cut | None") -> None:
    """Say where `auto` differs between the bottlenecks, as in a network that came in quantised."""
    other = _automatic(found, floats_only=True)
    if automatic is None or other is automatic:
        return
    where = "no cut" if other is None else f"cut {other.index}, {other.flops_share:.0%} of the FLOPs"
    guard.err.print(
        f"`auto` here is for --bottleneck none, which sends 8-bit codes as they are; pca and learned take floats: {where}",
        highlight=False,
        markup=False,
    )


def _plot(path: Path, name: str, found: list["Cut"], input_bytes: int, automatic: "Cut | None", max_tensors: int) -> None:
    from isthmus.bench import cut_chart

    drawn = cut_chart.draw(name, found, input_bytes=input_bytes, automatic=automatic, max_tensors=max_tensors)
    try:
        path.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--plot {path} cannot be written: {error.strerror}") from error


def _print_json(model: str, dynamic_batch: bool, input_bytes: int, found: list["Cut"], automatic: "Cut | None") -> None:
    meta = {
        "command": "cuts",
        "model": model,
        "input_bytes": input_bytes,
        "dynamic_batch": dynamic_batch,
        "auto": None if automatic is None else automatic.index,
    }
    print_json(meta, [_row(cut, is_auto=cut is automatic) for cut in found])


def _row(cut: "Cut", *, is_auto: bool) -> dict[str, Any]:
    return {
        "cut": cut.index,
        "tensors": list(cut.tensors),
        "operator": cut.operator,
        "node": cut.node,
        "shapes": [list(shape) for shape in cut.shapes],
        "dtypes": list(cut.dtypes),
        "codes": list(cut.codes),
        "inputs_crossing": list(cut.inputs_crossing),
        "bytes": cut.bytes,
        "values": cut.values,
        "flops_before": cut.flops_before,
        "flops_share": cut.flops_share,
        "parameters_before": cut.parameters_before,
        "auto": is_auto,
    }


def _print_table(name: str, input_bytes: int, found: list["Cut"], shown: list["Cut"], automatic: "Cut | None") -> None:
    known = [cut.bytes for cut in shown if cut.bytes]
    scale = (min(known, default=1), max(known, default=1))
    several = "" if len(shown) == len(found) else ", --all shows the others"
    title = f"Cuts of {name}: {len(shown)} of {len(found)}{several}; the input has {size(input_bytes)}"
    columns = ["", "cut", "tensor", "after", "shape", "crosses", "FLOPs before", "parameters", "bytes, log"]
    is_wide = guard.out.width >= _WIDE_COLUMNS
    rows = [[">" if cut is automatic else "", *_cells(cut, is_wide=is_wide), _bar(cut.bytes, scale)] for cut in shown]
    kept = [index for index, column in enumerate(columns) if is_wide or column not in _WIDE_ONLY]
    print_table(
        title,
        [columns[index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        left=("tensor", "after", "bytes, log"),
    )


def _cells(cut: "Cut", *, is_wide: bool) -> list[str]:
    most = _NAME_COLUMNS if is_wide else _NARROW_NAME_COLUMNS
    names = [_short(name, most) for name in cut.tensors]
    names += [f"{_short(name, most)} (input)" for name in cut.inputs_crossing]
    return [
        str(cut.index),
        "\n".join(names),
        cut.operator,
        "\n".join("x".join(map(str, shape[1:] if shape[:1] == ("batch",) else shape)) or "scalar" for shape in cut.shapes),
        "?" if cut.bytes is None else size(cut.bytes),
        f"{cut.flops_share:.1%}",
        f"{cut.parameters_before:,}",
    ]


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _bar(count: int | None, scale: tuple[int, int]) -> str:
    """A bar along the logarithm, one block for the least."""
    if not count:
        return ""
    low, high = scale
    part = 0.0 if low == high else math.log(count / low) / math.log(high / low)
    return "█" * (1 + round((_BAR_COLUMNS - 1) * part))
