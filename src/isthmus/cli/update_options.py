"""Options of `isthmus run` for updates over the air."""

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Updates"

SourceOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=PANEL, help="Where new bundles come from: tail (the servers), HOST:PORT, https://... or a path."
    ),
]
FolderOption = Annotated[Path, typer.Option(rich_help_panel=PANEL, help="Where bundles of updates are kept.")]
EveryOption = Annotated[str, typer.Option(rich_help_panel=PANEL, help="How often the source is looked at, as 1h.")]
HoursOption = Annotated[str | None, typer.Option(rich_help_panel=PANEL, help="Local hours in which that is done, as 1-5.")]
PaceOption = Annotated[str, typer.Option(metavar="SIZE/s", rich_help_panel=PANEL, help="Pace of a transfer.")]
DowngradeOption = Annotated[
    bool,
    typer.Option(
        "--update-downgrade/--no-update-downgrade",
        rich_help_panel=PANEL,
        help="Take an older bundle too, where the source has one.",
    ),
]
AnswersOption = Annotated[
    int, typer.Option(min=1, rich_help_panel=PANEL, help="Good answers by which a new bundle proves itself.")
]
PatienceOption = Annotated[
    str, typer.Option(rich_help_panel=PANEL, help="A new bundle that gives no good answer for so long is given up.")
]
