"""What `isthmus bench --on HOSTS` does and prints."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from isthmus.cli import guard
from isthmus.cli.results import print_json
from isthmus.errors import DeviceError, IsthmusError


def bench(hosts: str, bundle: Path, source: str, output: Path, options: Sequence[str], *, ssh: str, as_json: bool) -> None:
    """Measure on other devices, bring the results home and print them.

    Raises:
        DeviceError: a host gave no results; those of the others are there.
    """
    from isthmus.bench import remote
    from isthmus.contract.bundle import open_bundle

    open_bundle(bundle)
    order = remote.Order(bundle=bundle, source=source, options=options)
    found = remote.run(remote.parse_hosts(hosts), order, output, ssh=shlex.split(ssh), on_line=_say)
    folders = {host: one for host, one in found.items() if isinstance(one, Path)}
    if as_json:
        print_json({"hosts": {host: str(folder) for host, folder in folders.items()}}, _rows(folders))
    else:
        for host, folder in folders.items():
            _print(host, folder)
    failed = [str(one) for one in found.values() if isinstance(one, IsthmusError)]
    if failed:
        raise DeviceError("; ".join(failed))


def _rows(folders: dict[str, Path]) -> list[dict[str, Any]]:
    """The rows of all hosts, each with its host."""
    from isthmus.bench.results import read_results

    files = {host: folder / "results.json" for host, folder in folders.items()}
    return [
        {"host": host} | row.model_dump(mode="json")
        for host, file in files.items()
        if file.exists()
        for row in read_results(file).rows
    ]


def _print(host: str, folder: Path) -> None:
    from isthmus.bench.results import read_results
    from isthmus.bench.table import results_table

    file = folder / "results.json"
    if file.exists():
        guard.out.print(results_table(read_results(file).rows, title=host))
    for path in sorted(folder.iterdir()):
        guard.out.print(f"{host}: {path}", highlight=False, markup=False)


def _say(host: str, line: str) -> None:
    if line:
        typer.echo(f"{host}: {line}", err=True)
