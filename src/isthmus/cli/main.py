"""`isthmus`: one program, one command for each job.

Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration, 4 bundle damaged, missing, unsigned or of another contract, 5 server
unreachable, 130 interrupted, 143 terminated.
"""

from typing import Annotated

import typer

import isthmus
from isthmus.cli import (
    bench,
    bundles,
    chat,
    cutting,
    device,
    evaluating,
    evidence,
    exporting,
    filtering,
    keys,
    later,
    plan,
    running,
    serving,
    tokens,
    triton,
)
from isthmus.cli.guard import guarded, set_up

app = typer.Typer(
    name="isthmus",
    help="Cut a trained network, keep the head on the device, serve the tail, and send only what has to cross.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration, 4 bundle damaged, missing, "
    "unsigned or of another contract, 5 server unreachable, 130 interrupted, 143 terminated.",
)

MAKE, USE, MEASURE = "Make a bundle", "Use a bundle", "Measure"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isthmus {isthmus.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks and debug logs.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    del version
    set_up(verbose=verbose)


app.command("cuts", rich_help_panel=MAKE)(guarded(cutting.cuts))
app.command("export", rich_help_panel=MAKE)(guarded(exporting.export))
app.command("evaluate", rich_help_panel=MAKE)(guarded(evaluating.evaluate))
app.command("filter", rich_help_panel=MAKE)(guarded(filtering.filter_))
app.add_typer(keys.app, name="keys", rich_help_panel=MAKE)
app.command("inspect", rich_help_panel=USE)(guarded(bundles.inspect))
app.command("verify", rich_help_panel=USE)(guarded(bundles.verify))
app.command("triton", rich_help_panel=USE)(guarded(triton.triton))
app.command("serve", rich_help_panel=USE)(guarded(serving.serve))
app.command("run", rich_help_panel=USE)(guarded(running.run))
app.command("chat", rich_help_panel=USE)(guarded(chat.chat))
app.add_typer(tokens.app, name="tokens", rich_help_panel=USE)
app.command("evidence", rich_help_panel=USE)(guarded(evidence.evidence))
app.command("bench", rich_help_panel=MEASURE)(guarded(bench.bench))
app.command("demo", rich_help_panel=MEASURE)(guarded(bench.demo))
app.command("plan", rich_help_panel=MEASURE)(guarded(plan.plan))
app.add_typer(device.app, name="device", rich_help_panel=MEASURE)
later.add_to(app)


def main() -> None:
    """Entry point of the command line."""
    app()
