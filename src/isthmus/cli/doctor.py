"""`isthmus device doctor`: is everything here that the agent needs?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from isthmus.cli import guard
from isthmus.cli.bundles import JsonOption, TrustOption, open_trusted
from isthmus.cli.results import print_json
from isthmus.errors import IsthmusError

if TYPE_CHECKING:
    from isthmus.cli.agent_file import AgentFile
    from isthmus.devices.doctor import Finding

_SIGNS = {"ok": "[green]ok[/green]", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}


@guard.guarded
def doctor(
    context: typer.Context,
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="A .isthmus file or a bundle folder to verify.")] = None,
    source: Annotated[str | None, typer.Option(help="Source to take some frames from, as for `isthmus run`.")] = None,
    tail: Annotated[list[str] | None, typer.Option(help="HOST:PORT of a server to call; repeatable.")] = None,
    config: Annotated[Path | None, typer.Option(help="agent.toml; its bundle, source and servers are looked at.")] = None,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that this machine can run the agent: libraries, clock, disk, cameras; bundle, source and server where they are named.

    Ends with 0 when nothing failed, else with the exit code of the first failure: 1, 3, 4 (bundle) or 5 (server).
    """
    guard.only_warnings()
    findings = _examine(context, config)
    if as_json:
        failed = sum(finding.verdict == "fail" for finding in findings)
        print_json({"command": "device doctor", "failed": failed}, [asdict(finding) for finding in findings])
    else:
        _print(findings)
    exit_code = next((finding.exit_code for finding in findings if finding.verdict == "fail"), 0)
    if exit_code:
        raise typer.Exit(exit_code)


def _examine(context: typer.Context, config: Path | None) -> "list[Finding]":
    from isthmus.devices.detect import detect
    from isthmus.devices.doctor import examine_machine

    machine = detect()
    folder = Path.cwd() if config is None else config.resolve().parent
    findings = list(examine_machine(machine, folder=folder))
    if machine.onnxruntime is None or machine.opencv is None:
        # Whatever is imported below would be killed with them.
        return findings
    from isthmus.cli.agent_file import given_flags, read_agent_file

    return findings + _examine_parts(read_agent_file(config, given_flags(context, but={"config", "as_json"})))


def _examine_parts(asked: "AgentFile") -> "list[Finding]":
    from isthmus.head.doctor import BUNDLE_ADVICE, examine_bundle, examine_server, examine_source, failure

    settings = asked.model_copy(update={"source": asked.source or ""}).for_agent()
    findings = [] if asked.source is None else [examine_source(settings)]
    if asked.bundle is None:
        return findings
    try:
        bundle = open_trusted(asked.bundle, asked.trust)
    except IsthmusError as error:
        return [*findings, failure("bundle", error, BUNDLE_ADVICE)]
    return [*findings, *examine_bundle(bundle, settings), *examine_server(bundle, settings)]


def _print(findings: "list[Finding]") -> None:
    table = Table("", "check", "found", "what to do", box=None, header_style="bold")
    for finding in findings:
        table.add_row(_SIGNS[finding.verdict], Text(finding.check), Text(finding.found), Text(finding.advice))
    guard.out.print(table)
