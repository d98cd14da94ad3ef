"""What commands print: JSON for programs, tables for people."""

import json
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from isthmus.cli.guard import out


def print_json(meta: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print `{"meta", "rows"}` on standard output."""
    typer.echo(json.dumps({"meta": meta, "rows": rows}, indent=2))


def print_table(title: str, columns: list[str], rows: list[list[str]], *, left: tuple[str, ...] = ()) -> None:
    """Print a table; every column but the first and those named in `left` is aligned to the right."""
    # As text, not as markup: tensors and files may have names with brackets.
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 or column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    out.print(table)
