"""The conversations of the demo as one table for the terminal; it fits 100 columns."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from isthmus.bench import words
from isthmus.bench.results import Row


def conversations_table(rows: Sequence[Row]) -> Table:
    """One line for each row."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("placement", no_wrap=True)
    for name in ("link", "tokens/s", "ms a token", "first ms", "up", "down", "as unsplit"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        told: dict[str, Any] = row.model_extra or {}
        table.add_row(
            *map(
                Text,
                (
                    row.label,
                    row.link or words.UNKNOWN,
                    words.rate(told["tokens_per_s"]),
                    words.milliseconds(row.latency_ms.p50),
                    words.milliseconds(told["first_ms"]),
                    words.size(told["bytes_up_mean"]),
                    words.size(told["bytes_down_mean"]),
                    f"{told['as_unsplit']} of {row.answered}",
                ),
            )
        )
    return table
