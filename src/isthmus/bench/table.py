"""The rows of a measurement as one table for the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from isthmus.bench import words
from isthmus.bench.results import Row


def results_table(rows: Sequence[Row], *, title: str = "") -> Table:
    """One line for each row; texts are shown as they are, markup in them means nothing.

    Args:
        rows: of a result file.
        title: above the table.
    """
    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    table.add_column("placement")
    if any(row.link for row in rows):
        table.add_column("link")
    metric = rows[0].metric.name if rows else "accuracy"
    for name in (metric, "95%", "gate dropped", "recall", "payload", "wire", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(Text(name), justify="right")
    table.add_column("longest stages, ms", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, _cells(row, with_link=any(other.link for other in rows))))
    return table


def _cells(row: Row, *, with_link: bool) -> list[str]:
    return [
        row.label,
        *([row.link or words.UNKNOWN] if with_link else []),
        words.share(row.metric.value),
        words.interval(row.metric),
        str(row.dropped.get("gate", 0)),
        words.share(row.recall),
        words.size(row.bytes_payload_mean),
        words.size(row.bytes_wire_mean),
        words.milliseconds(row.latency_ms.p50),
        words.milliseconds(row.latency_ms.p95),
        words.milliseconds(row.latency_ms.p99),
        words.main_stages(row),
    ]
