"""What `isthmus bench --compare` prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from isthmus.cli import guard
from isthmus.cli.results import print_json, print_table

if TYPE_CHECKING:
    from isthmus.bench.change import Change
    from isthmus.bench.comparison import CellComparison

COLUMNS = ["cell", "figure", "before", "after", "difference (95% interval)", "verdict"]


def compare(
    before: Path,
    after: Path,
    *,
    equal: Sequence[Path],
    output: Path | None,
    command: str,
    tolerance: float,
    fail: bool,
    as_json: bool,
) -> None:
    """Print what differs between two runs; ends with 1 where `fail` and something became worse by more than `tolerance`."""
    from isthmus.bench import comparison, comparison_report, findings

    found = comparison.compare(before, after, equal)
    report = comparison_report.write(found, output, command) if output else None
    said = findings.sentences(found)
    regressions = found.regressions(tolerance)
    if as_json:
        meta = {
            "before": found.before,
            "after": found.after,
            "equal": found.equal,
            "differs": found.differs,
            "unsteady": found.unsteady,
            "said": said,
        }
        print_json(meta | {"tolerance": tolerance, "regressions": regressions}, [_row(cell) for cell in found.cells])
    else:
        lines = [_line(name, change) for name, change in found.named_changes]
        print_table(f"{before} and {after}", COLUMNS, lines, left=("figure", "verdict"))
        for sentence in said:
            guard.out.print(sentence, highlight=False, markup=False)
        if report:
            guard.out.print(f"Report: {report}", highlight=False)
    if fail and regressions:
        raise typer.Exit(1)


def _row(cell: "CellComparison") -> dict[str, Any]:
    row = cell.row
    changes = [change.as_json() for change in cell.changes]
    return {"placement": row.placement, "setting": row.setting, "link": row.link, "point": row.point, "changes": changes}


def _line(cell: str, change: "Change") -> list[str]:
    from isthmus.bench import findings

    values = [findings.value(change, change.before), findings.value(change, change.after)]
    return [cell, findings.title(change), *values, findings.interval(change), change.verdict]
