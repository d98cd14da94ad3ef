"""Two result files side by side: what differs beyond what chance would do.

For each cell that both runs have, the differences of latency, bytes and accuracy with their 95% intervals; and what else is not
alike in the two runs: another bundle, machine, or link explains a difference before any code does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.bench import samples
from isthmus.bench.change import Change, changes
from isthmus.bench.results import Results, Row, read_results
from isthmus.bench.samples import Samples
from isthmus.errors import ConfigError

COMPARED_META = ("isthmus", "contract_digest", "data", "scenario", "frames", "answered_every", "starts", "machine")
"""Fields of `meta` that should be alike in both runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellComparison:
    """One cell in both runs; `row` is the second run's."""

    row: Row
    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        """Placement, setting and link in words."""
        return self.row.label + (f" over {self.row.link}" if self.row.link else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All cells of two runs.

    Attributes:
        before: folder or file of the first run.
        after: of the second run.
        cells: those that both have, in the order of the second run.
        differs: what is not alike in the two runs beside their figures, in words.
        unsteady: why one of them is no result, in words.
        equal: more runs that were made like the first one.
    """

    before: str
    after: str
    cells: tuple[CellComparison, ...]
    differs: tuple[str, ...]
    unsteady: tuple[str, ...]
    equal: tuple[str, ...] = ()

    @property
    def named_changes(self) -> list[tuple[str, Change]]:
        """Every figure, with the name of its cell."""
        return [(cell.name, change) for cell in self.cells for change in cell.changes]

    def regressions(self, tolerance: float) -> list[str]:
        """Cells and figures that became worse, in words."""
        return [f"{name}: {change.name}" for name, change in self.named_changes if change.is_regression(tolerance)]


def compare(before: Path, after: Path, equal: Sequence[Path] = ()) -> Comparison:
    """Compare two runs.

    Args:
        before: a folder that `isthmus bench` wrote, or its `results.json`.
        after: likewise.
        equal: more runs that were made like the first one; from them comes how far whole runs differ by chance.

    Raises:
        ConfigError: one of them cannot be read, no cell is in both, or one of `equal` was made otherwise than the first one.
    """
    (first, first_samples), (second, second_samples) = _read(before), _read(after)
    more = [_read_equal(path, before, first) for path in equal]
    known = {_key(row): index for index, row in enumerate(first.rows)}
    same_frames = all(first.meta.get(name) == second.meta.get(name) for name in ("data", "frames", "answered_every"))
    cells = []
    for index, row in enumerate(second.rows):
        place = known.get(_key(row))
        if place is not None:
            kept = (first_samples[place], second_samples[index]) if first_samples and second_samples else None
            alike = [other for run in more for other in run.rows if _key(other) == _key(row)]
            found = changes(first.rows[place], row, kept, paired=same_frames, equal=alike)
            cells.append(CellComparison(row=row, changes=tuple(found)))
    if not cells:
        raise ConfigError(f"{before} and {after} have no placement on the same link in common; there is nothing to compare")
    return Comparison(
        before=str(before),
        after=str(after),
        equal=tuple(map(str, equal)),
        cells=tuple(cells),
        differs=tuple(_differences(first, second)),
        unsteady=tuple(
            said
            for path, run in ((before, first), (after, second), *zip(equal, more, strict=True))
            for said in _unsteady(path, run)
        ),
    )


def _read(path: Path) -> tuple[Results, list[Samples] | None]:
    file = path / "results.json" if path.is_dir() else path
    results, beside = read_results(file), file.with_name(samples.FILE_NAME)
    return results, samples.read(beside, len(results.rows)) if beside.exists() else None


def _read_equal(path: Path, before: Path, first: Results) -> Results:
    run, _samples = _read(path)
    if differences := list(_differences(first, run)):
        raise ConfigError(f"{path} was not made like {before}: {'; '.join(differences)}")
    return run


def _key(row: Row) -> tuple[str, str, str | None]:
    return row.placement, row.setting, row.link


def _differences(first: Results, second: Results) -> Iterator[str]:
    for name in COMPARED_META:
        one, other = first.meta.get(name), second.meta.get(name)
        if one != other:
            yield f"{name}: {_shown(one, other)}, {_shown(other, one)}"
    one, other = (list(dict.fromkeys(map(_words, run.rows))) for run in (first, second))
    for names, others, side in ((one, other, "first"), (other, one, "second")):
        if alone := [name for name in names if name not in others]:
            yield f"only in the {side} run: {', '.join(alone)}"


def _words(row: Row) -> str:
    return row.label + (f" over {row.link}" if row.link else "")


def _shown(value: object, other: object) -> str:
    """A value, of a table only what the other one has otherwise."""
    if isinstance(value, dict) and isinstance(other, dict):
        return ", ".join(f"{name} {value.get(name)}" for name in value | other if value.get(name) != other.get(name))
    return f"{value if value is not None else 'not said'}"[:160]


def _unsteady(path: Path, run: Results) -> Iterator[str]:
    found = run.meta.get("steadiness")
    if isinstance(found, dict) and not found.get("steady", True):
        yield f"{path} is unsteady, a trial and no result: {'; '.join(map(str, found.get('reasons', ())))}"
