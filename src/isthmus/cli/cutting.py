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


def cuts(
    model: ModelArgument,
    everything: Annotated[bool, typer.Option("--all", help="Every cut, however many tensors cross.")] = False,
    max_tensors: Annotated[int, typer.Option(min=1, help="Most tensors that may cross at once in what is shown.")] = 4,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the bytes along the FLOPs.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List where a network can be cut, with what would cross there and what the device would compute.

    Shown are, between two pieces of arithmetic, the narrowest single tensor, and several at once where they are narrower than
    every single one before; `>` marks the cut that `--cut auto` takes.
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
    if plot is not None:
        guard.err.print(f"drawn: {plot}", highlight=False, markup=False)
    best = "auto" if automatic is not None else str(shown[0].index) if shown else "TENSOR"
    guard.err.print(f"Next: isthmus export {model} -o bundle.isthmus --cut {best} --data PICTURES", highlight=False, markup=False)


def _automatic(found: list["Cut"]) -> "Cut | None":
    from isthmus.export.cutting import cuts as places

    try:
        return places.find(found, "auto")
    except UsageError:
        return None


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
    rows = [[">" if cut is automatic else "", *_cells(cut), _bar(cut.bytes, scale)] for cut in shown]
    print_table(title, columns, rows, left=("tensor", "after", "bytes, log"))


def _cells(cut: "Cut") -> list[str]:
    names = [*map(_short, cut.tensors), *(f"{_short(name)} (input)" for name in cut.inputs_crossing)]
    return [
        str(cut.index),
        "\n".join(names),
        cut.operator,
        "\n".join("x".join(map(str, shape[1:] if shape[:1] == ("batch",) else shape)) or "scalar" for shape in cut.shapes),
        "?" if cut.bytes is None else size(cut.bytes),
        f"{cut.flops_share:.1%}",
        f"{cut.parameters_before:,}",
    ]


def _short(name: str) -> str:
    return name if len(name) <= _NAME_COLUMNS else f"…{name[1 - _NAME_COLUMNS :]}"


def _bar(count: int | None, scale: tuple[int, int]) -> str:
    """A bar along the logarithm, one block for the least."""
    if not count:
        return ""
    low, high = scale
    part = 0.0 if low == high else math.log(count / low) / math.log(high / low)
    return "█" * (1 + round((_BAR_COLUMNS - 1) * part))
