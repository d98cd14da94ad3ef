"""`results.json`: what a measurement found, as `{"meta": {...}, "rows": [...]}`, and the same rows as CSV.

The names of the fields are fixed; a row may carry more of them, and a reader keeps what it does not know.
Times are milliseconds, sizes bytes, shares 0 to 1. `null` means that nothing was measured, never zero.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.bench.output import write_whole
from isthmus.contract.metric import Metric, proportion
from isthmus.errors import ConfigError

PERCENTILES = (50, 90, 95, 99)


class _Part(BaseModel):
    # JSON has no infinity and no NaN; most readers refuse a file that holds them.
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class Latency(_Part):
    """Percentiles of the time from capture to answer, in milliseconds; None where nothing was answered."""

    p50: float | None = Field(default=None, ge=0)
    p90: float | None = Field(default=None, ge=0)
    p95: float | None = Field(default=None, ge=0)
    p99: float | None = Field(default=None, ge=0)


class Row(_Part):
    """One placement on one link."""

    placement: str
    setting: str = ""
    """Operating point or picture setting."""
    link: str | None
    """None where nothing is sent."""
    point: str | None
    frames: int = Field(ge=0)
    """Frames of the sequence, answered or not."""
    answered: int = Field(default=0, ge=0)
    """Frames that this placement answered."""
    dropped: dict[str, int]
    """Reason -> frames."""
    recall: float | None = Field(ge=0, le=1)
    """Share of the frames with something to see that passed the gate; None where the truth is not known."""
    bytes_payload_mean: float = Field(ge=0)
    """What the codec or the picture encoder gave, for each answered frame."""
    modes: dict[str, int] = Field(default_factory=dict)
    """Mode of the codec -> answered frames that crossed in it; empty where no codes are sent."""
    bytes_wire_mean: float = Field(ge=0)
    """What passed the link both ways, for each answered frame."""
    latency_ms: Latency
    stages_ms: dict[str, float]
    """Stage -> mean; stages do not overlap."""
    energy_j: dict[str, Any] | None = None
    """Of one frame, with `kind`, `source`, `scope` and doubt; None where it was neither measured nor modelled."""
    metric: Metric
    rate_per_s: float | None = Field(default=None, ge=0)
    """Answers in a second under load; None in single-stream, where a frame waits for the one before it."""
    unsteady: tuple[str, ...] = ()
    """Why these figures are a trial and no result; empty where they are one."""

    @property
    def label(self) -> str:
        """Placement and setting in words, without the link.

        >>> Row.label.fget(Row.model_construct(placement="offload", setting="jpeg-75"))
        'offload jpeg-75'
        """
        return f"{self.placement} {self.setting}".strip()


class Results(_Part):
    """A whole result file."""

    meta: dict[str, Any]
    rows: tuple[Row, ...]


def percentiles(values_ms: Sequence[float] | np.ndarray) -> Latency:
    """Percentiles 50, 90, 95 and 99, linear between neighbours; all None for no values.

    >>> percentiles([1, 2, 3, 4, 5]).p50
    3.0
    """
    if not len(values_ms):
        return Latency()
    found = np.percentile(np.asarray(values_ms, dtype=np.float64), PERCENTILES)
    return Latency(**{f"p{rank}": float(value) for rank, value in zip(PERCENTILES, found, strict=True)})


def wilson(successes: int, trials: int) -> tuple[float, float, float]:
    """Share of successes, and Wilson's score interval at 95% (Wilson 1927, JASA 22:209-212) as (value, low, high)."""
    found = proportion("share", successes, trials)
    return found.value, found.low, found.high


def write_results(path: Path, results: Results) -> None:
    """Write `results.json`; a reader never sees half of it.

    Raises:
        ConfigError: the file cannot be written.
    """
    write_whole(path, results.model_dump_json(indent=2) + "\n")


def read_results(path: Path) -> Results:
    """Read `results.json`.

    Raises:
        ConfigError: missing, not JSON, or a field is missing or wrong.
    """
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON ({error})") from error
    try:
        return Results.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path} is not a result file: {place[:120]!r}: {first['msg'][:300]}") from error


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write one line for each row; the parts of a field stand in columns such as `latency_ms.p50`, unknown values are empty.

    Raises:
        ConfigError: the file cannot be written.
    """
    flat = [_flat(row.model_dump(mode="json")) for row in rows]
    columns = list(dict.fromkeys(column for line in flat for column in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_whole(path, text.getvalue())


def _flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in value.items():
        if isinstance(part, dict):
            found |= _flat(part, f"{before}{name}.")
        else:
            found[before + name] = part
    return found
