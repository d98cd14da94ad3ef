"""From what was measured to the rows of `results.json` (the names are fixed; docs/results.md describes them)."""

from statistics import fmean

from isthmus.bench import settling
from isthmus.bench.cell import Cell
from isthmus.bench.measured import Measured
from isthmus.bench.results import Row, percentiles
from isthmus.contract.metric import Metric, proportion


def rows(measured: Measured) -> list[Row]:
    """One row for each cell."""
    return [row(measured, cell) for cell in measured.cells]


def row(measured: Measured, cell: Cell) -> Row:
    """One cell; times in milliseconds, sizes in bytes."""
    dropped = {"gate": measured.dropped} | dict(cell.failures)
    return Row(
        placement=cell.placement.name,
        setting=cell.placement.setting,
        link=str(cell.link) if cell.link else None,
        point=cell.placement.setting if cell.placement.name == "split" else None,
        frames=measured.frames,
        dropped={reason: count for reason, count in dropped.items() if count},
        recall=measured.recall,
        bytes_payload_mean=cell.payload_bytes_mean,
        modes=dict(cell.modes.most_common()),
        bytes_wire_mean=cell.wire_bytes_mean,
        latency_ms=percentiles(cell.latencies_ms),
        stages_ms={stage: fmean(spent) * 1e3 for stage, spent in cell.stages_s.items()},
        metric=metric(measured, cell),
        answered=len(cell.answers),
        rate_per_s=len(cell.answers) / cell.span_s if cell.span_s else None,
        unsteady=tuple(settling.reasons(cell, measured.scenario, starts=measured.starts)),
        energy_j=None if cell.energy is None else cell.energy.as_json(),
    )


def metric(measured: Measured, cell: Cell) -> Metric:
    """Share of right answers among the answered frames in which something was to be seen."""
    guesses = cell.guesses
    asked = [sequence for sequence in measured.truths if sequence in guesses]
    right = sum(guesses[sequence] == measured.truths[sequence] for sequence in asked)
    return proportion(measured.metric, right, len(asked))
