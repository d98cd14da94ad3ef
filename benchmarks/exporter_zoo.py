"""What the exporter makes of models nobody here trained or drew: a page with one row for each.

    python benchmarks/exporter_zoo.py [-o docs/zoo.md] [--only NAME ...] [--folders] [--limit 600] [--jobs 2]

The ONNX files of others below ISTHMUS_DATA (default: `shared/data` beside the checkout), and architectures built from their
configuration with random weights. Every model runs in a process of its own with a time limit and one thread. A refusal is a
row with its reason; a crash, a timeout and a difference above the limit are failures, and the command ends with 1.
"""

import argparse
import concurrent.futures
import dataclasses
import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from zoo import entries, page
from zoo.entries import Entry

from isthmus.devices.detect import detect

VERSIONS = ("torch", "transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")
console = Console(stderr=True)


def run(entry: Entry, *, limit_s: float) -> dict[str, Any]:
    """Measure one model in a process of its own; whatever happens to that process, a row comes back."""
    command = [sys.executable, "-m", "zoo.row", entry.reference, *(["--folder"] if entry.as_folder else [])]
    path = os.pathsep.join([str(entries.ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command, cwd=entry.folder, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return {"outcome": "failed", "reason": f"no result after {limit_s:g} s"}
    return parsed(done)


def parsed(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The row that a process printed, or what became of the process."""
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        row: dict[str, Any] = json.loads(lines[-1])
        return row
    if done.returncode < 0:
        return {"outcome": "failed", "reason": f"killed by {signal.Signals(-done.returncode).name}"}
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return {"outcome": "failed", "reason": f"traceback: {last}"}


def run_all(chosen: Sequence[Entry], *, limit_s: float, jobs: int) -> list[dict[str, Any]]:
    """All rows in the order of the entries, with progress on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    rows: dict[str, dict[str, Any]] = {}
    with Progress(*columns, console=console) as bar, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        task = bar.add_task("models", total=len(chosen))
        waiting = {pool.submit(run, entry, limit_s=limit_s): entry for entry in chosen}
        for finished in concurrent.futures.as_completed(waiting):
            entry, row = waiting[finished], finished.result()
            rows[entry.name] = {"name": entry.name, "reference": entry.reference, "kind": entry.kind, **row}
            bar.advance(task)
            words = row["reason"] or f"{row['cuts']} cuts, split error {row['split_error']:.1g}"
            bar.console.print(f"{entry.name}: {row['outcome']}: {words}", highlight=False, markup=False, soft_wrap=True)
    return [rows[entry.name] for entry in chosen]


def meta(arguments: Sequence[str]) -> dict[str, Any]:
    """Machine, date, command and versions."""
    machine = detect()
    return {
        "benchmark": "exporter_zoo",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "command": " ".join(["python benchmarks/exporter_zoo.py", *arguments]),
        "versions": {"python": machine.python, **{name: metadata.version(name) for name in VERSIONS}},
        "machine": dataclasses.asdict(machine),
    }


def failures(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Names of the models that failed."""
    return [row["name"] for row in rows if row["outcome"] == "failed"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="Markdown page to write; default: print it")
    parser.add_argument("--json", type=Path, help="where the figures are written as well")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="just this model; repeats")
    parser.add_argument("--folders", action="store_true", help="save transformers models and open their folders")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a model may take")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="models at a time; each has one thread")
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given)
    folder = entries.data_folder()
    foreign = entries.files(folder)
    if not foreign:
        console.print(f"no files of others below {folder}; set ISTHMUS_DATA", style="yellow")
    try:
        chosen = entries.chosen([*foreign, *entries.architectures(as_folder=options.folders)], options.only)
    except KeyError as reason:
        parser.error(reason.args[0])
    rows = run_all(chosen, limit_s=options.limit, jobs=options.jobs)
    head = meta(given)
    text = page.written(head, rows)
    if options.json:
        options.json.write_text(json.dumps({"meta": head, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    failed = failures(rows)
    if failed:
        console.print(f"failed: {', '.join(failed)}", style="red")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
