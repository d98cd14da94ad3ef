"""`samples.csv`: what lies behind each figure of `results.json`, one line for each answered frame.

Percentiles alone cannot be compared: how far they would differ by chance is in how the single frames scatter.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.bench.measured import Measured
from isthmus.bench.output import write_whole
from isthmus.errors import ConfigError

FILE_NAME = "samples.csv"
COLUMNS = ("row", "start", "sequence", "latency_ms", "payload_bytes", "right")
"""`row` counts the rows of `results.json` from 0; `right` is 1 or 0, and empty where the truth is not known."""
LINE_BYTES_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """The answered frames of one row, in the order they were answered.

    Attributes:
        start: int64[frame], which start of the programs.
        sequence: int64[frame], number of the frame.
        latency_ms: float64[frame].
        payload_bytes: float64[frame].
        right: float64[frame], 1 or 0, NaN where the truth is not known.
    """

    start: np.ndarray
    sequence: np.ndarray
    latency_ms: np.ndarray
    payload_bytes: np.ndarray
    right: np.ndarray


def of_cells(measured: Measured) -> list[Samples]:
    """One for each cell."""
    found = []
    for cell in measured.cells:
        lines = [
            (
                answer.start,
                answer.sequence,
                answer.latency_s * 1e3,
                answer.payload_bytes,
                float(measured.truths[answer.sequence] == answer.guess) if answer.sequence in measured.truths else math.nan,
            )
            for answer in cell.answers
        ]
        found.append(_columns(lines))
    return found


def write(path: Path, rows: Sequence[Samples]) -> None:
    """Write the samples of all rows.

    Raises:
        ConfigError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index, one in enumerate(rows):
        for start, sequence, latency_ms, size, right in zip(
            one.start, one.sequence, one.latency_ms, one.payload_bytes, one.right, strict=True
        ):
            known = "" if math.isnan(right) else f"{right:.0f}"
            writer.writerow((index, start, sequence, f"{latency_ms:.4f}", f"{size:.0f}", known))
    write_whole(path, text.getvalue())


def read(path: Path, count: int) -> list[Samples]:
    """Read the samples of `count` rows; a row without any has none.

    Raises:
        ConfigError: missing, or not such a file.
    """
    lines: list[list[tuple[float, ...]]] = [[] for _ in range(count)]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row, *values in _lines(file):
                lines[int(row)].append(tuple(values))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, IndexError, OverflowError) as error:
        raise ConfigError(f"{path} holds no samples of {count} rows ({str(error)[:LINE_BYTES_MAX]})") from error
    return [_columns(one) for one in lines]


def _lines(file: Iterator[str]) -> Iterator[tuple[float, ...]]:
    header = next(file, "")
    if header.strip() != ",".join(COLUMNS):
        raise ValueError(f"the first line is {header.strip()[:LINE_BYTES_MAX]!r}")
    for line in file:
        words = line.strip().split(",")
        if len(words) != len(COLUMNS):
            raise ValueError(f"a line has {len(words)} columns")
        *values, right = words
        known = tuple(float(word) for word in values)
        if not all(math.isfinite(value) and value >= 0 for value in known):
            raise ValueError(f"a line has the values {line.strip()[:LINE_BYTES_MAX]!r}")
        yield (*known, math.nan if not right else float(right == "1"))


def _columns(lines: Sequence[Sequence[float]]) -> Samples:
    values = np.array(lines, dtype=np.float64).reshape(len(lines), len(COLUMNS) - 1)
    return Samples(
        start=values[:, 0].astype(np.int64),
        sequence=values[:, 1].astype(np.int64),
        latency_ms=values[:, 2],
        payload_bytes=values[:, 3],
        right=values[:, 4],
    )
