"""What a plan had promised beside what a run measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.bench import words
from isthmus.bench.results import Results, Row, read_results
from isthmus.contract.bundle import Bundle
from isthmus.errors import ConfigError

NEAR = 0.1
"""Predictions that are off by no more count as good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The median latency of one placement on one link.

    Attributes:
        name: placement, setting and link in words.
        predicted_ms: by the plan.
        measured_ms: by the run.
    """

    name: str
    predicted_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """How far the prediction is off, as a share of what was measured."""
        return self.predicted_ms / self.measured_ms - 1

    def as_json(self) -> dict[str, Any]:
        """In the types that JSON has."""
        return {"name": self.name, "predicted_ms": self.predicted_ms, "measured_ms": self.measured_ms, "error": self.error}


def beside(plan: Results, rows: Sequence[Row]) -> list[Predicted]:
    """Every row that the plan has too.

    Args:
        plan: what `isthmus plan --json` printed.
        rows: of the run.
    """
    promised = {(row.placement, row.setting, row.link): row.latency_ms.p50 for row in plan.rows}
    found = []
    for row in rows:
        predicted, measured = promised.get((row.placement, row.setting, row.link)), row.latency_ms.p50
        if predicted is not None and measured:
            name = row.label + (f" over {row.link}" if row.link else "")
            found.append(Predicted(name=name, predicted_ms=predicted, measured_ms=measured))
    return found


def sentence(found: Sequence[Predicted]) -> str:
    """How good the predictions were.

    >>> sentence([Predicted(name="split", predicted_ms=9.0, measured_ms=6.0)])
    'The plan was within 10% of the measured median in 0 of 1 cells; the worst was split: 9.00 ms promised, 6.00 ms measured.'
    """
    if not found:
        return "The plan has no cell in common with this run."
    near = sum(abs(one.error) <= NEAR for one in found)
    worst = max(found, key=lambda one: abs(one.error))
    figures = f"{words.milliseconds(worst.predicted_ms)} ms promised, {words.milliseconds(worst.measured_ms)} ms measured"
    share = f"within {NEAR:.0%} of the measured median in {near} of {len(found)} cells"
    return f"The plan was {share}; the worst was {worst.name}: {figures}."


def read_plan(path: Path, bundle: Bundle) -> Results:
    """Read what `isthmus plan --json` printed.

    Raises:
        ConfigError: it cannot be read, or is of another bundle.
    """
    plan = read_results(path)
    if plan.meta.get("contract_digest") != bundle.digest:
        raise ConfigError(
            f"{path} is no plan of {bundle.origin}; print it with `isthmus plan {bundle.origin} ... --json > {path}`"
        )
    return plan
