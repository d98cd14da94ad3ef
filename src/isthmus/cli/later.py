"""Commands whose names are fixed and whose work is not done: each says so in one line and exits with 1."""

from collections.abc import Callable

import typer

from isthmus.cli import guard

COMMANDS = {
    "api": "Serve a split language model to OpenAI-compatible clients.",
}


def add_to(app: typer.Typer) -> None:
    """Add a command for each."""
    for name, purpose in COMMANDS.items():
        command = app.command(
            name,
            help=f"{purpose} [dim](not built yet)[/dim]",
            rich_help_panel="Later",
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )
        command(guard.guarded(_refusing(name)))


def _refusing(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        del context
        raise guard.later(f"`isthmus {name}`", "CHANGELOG.md says what this version does")

    return command
