"""From what was measured to the rows of `results.json` (the names are fixed in docs/results.md)."""

from typing import Any

import numpy as np

from isthmus.bench.measure import Cell, Measured
from isthmus.contract.metric import Metric, proportion

PERCENTILES = (50, 90, 95, 99)


def rows(measured: Measured) -> list[dict[str, Any]]:
    """One row for each cell."""
    return [row(measured, cell) for cell in measured.cells]


def row(measured: Measured, cell: Cell) -> dict[str, Any]:
    """One cell in the names of `results.json`; times in milliseconds, sizes in bytes."""
    dropped = {"gate": measured.dropped} | dict(cell.failures)
    return {
        "placement": cell.placement.name,
        "setting": cell.placement.setting,
        "link": str(cell.link) if cell.link else None,
        "point": cell.placement.setting if cell.placement.name == "split" else None,
        "frames": measured.frames,
        "answered": len(cell.latencies_s),
        "dropped": {reason: count for reason, count in dropped.items() if count},
        "recall": None if measured.recall is None else round(measured.recall, 5),
        "bytes_payload_mean": _mean(cell.payload_bytes),
        "bytes_wire_mean": round(cell.wire_bytes, 1),
        "latency_ms": latency_ms(cell.latencies_s),
        "stages_ms": {stage: _milliseconds(spent) for stage, spent in cell.stages_s.items()},
        "energy_j": None,
        "metric": metric(measured, cell).model_dump(),
    }


def latency_ms(latencies_s: list[float]) -> dict[str, float | None]:
    """Percentiles of latencies; None where nothing was answered."""
    if not latencies_s:
        return {f"p{rank}": None for rank in PERCENTILES}
    found = np.percentile(np.asarray(latencies_s) * 1e3, PERCENTILES)
    return {f"p{rank}": round(float(value), 3) for rank, value in zip(PERCENTILES, found, strict=True)}


def metric(measured: Measured, cell: Cell) -> Metric:
    """Right answers among the answered frames in which something was to be seen."""
    asked = [sequence for sequence in measured.truths if sequence in cell.guesses]
    right = sum(cell.guesses[sequence] == measured.truths[sequence] for sequence in asked)
    return proportion(measured.metric, right, len(asked))


def _mean(values: list[int]) -> float:
    return round(float(np.mean(values)), 1) if values else 0.0


def _milliseconds(spent: list[float]) -> float:
    return round(float(np.mean(spent)) * 1e3, 4)
