"""Tables as Markdown has them, for the pages that benchmarks write."""

from collections.abc import Callable, Iterable, Sequence

Cell = Callable[[object], str]
"""How a value is shown."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], cell: Cell) -> str:
    """A table with a line of names above its rows."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(lines)
