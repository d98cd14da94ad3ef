"""The rows of a measurement as one table for the terminal; it fits 100 columns."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from isthmus.bench import words
from isthmus.bench.results import Row


def results_table(rows: Sequence[Row], *, title: str = "") -> Table:
    """One line for each row; markup in texts means nothing. `stage_lines` tells where the time went.

    Args:
        rows: of a result file.
        title: above the table.
    """
    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("placement", no_wrap=True)
    metric = rows[0].metric.name if rows else "accuracy"
    rates = any(row.rate_per_s is not None for row in rows)
    for name in (f"{metric}, 95%", "gated", "recall", "payload", "wire", "p50 ms", "p95 ms", "p99 ms", *["rate/s"] * rates):
        table.add_column(Text(name), justify="right", overflow="fold")
    links = {row.link for row in rows if row.link}
    for row in rows:
        rate = [words.UNKNOWN if row.rate_per_s is None else f"{row.rate_per_s:.3g}"] * rates
        table.add_row(*map(Text, [*_cells(row, with_link=len(links) > 1), *rate]))
    return table


def stage_lines(rows: Sequence[Row]) -> list[str]:
    """For each row the means of its longest stages, and in which modes codes crossed."""
    return [
        f"{row.label}{f' over {row.link}' if row.link else ''}: "
        + "; ".join(filter(None, (words.main_stages(row, 6), words.modes(row))))
        for row in rows
    ]


def energy_lines(rows: Sequence[Row]) -> list[str]:
    """For each row that has it the energy of a frame, with its source; nothing where no row has."""
    return [
        f"{row.label}{f' over {row.link}' if row.link else ''}: {words.energy(row)}"
        + (f", {row.energy_j['source']}, scope {row.energy_j['scope']}" if row.energy_j else "")
        for row in rows
        if any(one.energy_j for one in rows)
    ]


def _cells(row: Row, *, with_link: bool) -> list[str]:
    return [
        f"{row.label} {row.link}" if with_link and row.link else row.label,
        f"{words.share(row.metric.value)} ({words.interval(row.metric)})",
        str(row.dropped.get("gate", 0)),
        words.share(row.recall),
        words.size(row.bytes_payload_mean),
        words.size(row.bytes_wire_mean),
        words.milliseconds(row.latency_ms.p50),
        words.milliseconds(row.latency_ms.p95),
        words.milliseconds(row.latency_ms.p99),
    ]
