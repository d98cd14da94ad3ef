"""Split language models beside unsplit ones: time per token, agreement, many conversations, slow links, lost servers.

    python -m benchmarks.llm [--quick] [--only compute,agreement,...] [--json FILE] [--docs docs] [--work build/bench-llm]

Speed, bytes and memory are measured on a Llama of 77 million parameters with random weights, agreement on trained ones: that of
`isthmus demo --llm`, and one of 260,000 out of ISTHMUS_DATA. Bundles are exported into `--work` once. Some eight minutes;
`--quick` takes a tiny model and few tokens, shows within a minute or two that everything works, and prints the page instead.
"""

import argparse
import datetime
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog
from benchmarks.llm import page, targets
from benchmarks.llm.run import FULL, PARTS, QUICK, Bench

from isthmus.devices.detect import detect

COMMAND = "make bench-llm"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model and few tokens; nothing written but --json")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all rows there")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where page and plot are written (default: %(default)s)")
    parser.add_argument(
        "--work", type=Path, default=Path("build/bench-llm"), help="where bundles are kept (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"--only {unknown[0]} is none of {', '.join(PARTS)}")
    # Lost links are what is measured, and no news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    before = os.getloadavg()[0]
    bench = Bench(QUICK if options.quick else FULL, options.work, say)
    rows = bench.run([name for name in PARTS if name in chosen])
    rows += targets.judge(rows)
    facts = {**meta(options), "load_before": before, "busy": busy([before, os.getloadavg()[0]]), **bench.facts}
    if options.json:
        options.json.write_text(json.dumps({"meta": facts, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            print(page.write(Path(folder), facts, rows).read_text(encoding="utf-8"))
    else:
        print(f"written: {page.write(options.docs, facts, rows)}")
    return 0


def busy(loads: Sequence[float]) -> str:
    """What else the machine did, in words.

    >>> busy([0.3])
    'Mean load before the run 0.3.'
    >>> busy([7.0, 5.5])
    'Mean load before the run 7.0, after it 5.5: beside other programs, where times by the clock hold their waiting too.'
    """
    told = ", after it ".join(f"{load:.1f}" for load in loads)
    cores = os.cpu_count() or 1
    beside = ": beside other programs, where times by the clock hold their waiting too" if loads[0] > cores / 2 else ""
    return f"Mean load before the run {told}{beside}."


def meta(options: argparse.Namespace) -> dict[str, Any]:
    """Machine, date, command, versions."""
    machine = detect()
    chosen = [*(["--quick"] if options.quick else []), *([f"--only {options.only}"] if options.only != ",".join(PARTS) else [])]
    packages = ("onnxruntime", "grpcio", "torch", "transformers")
    versions = {"Python": machine.python, **{name: metadata.version(name) for name in packages}}
    return {
        "benchmark": "llm",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "command": COMMAND if not chosen else " ".join(["python -m benchmarks.llm", *chosen]),
        "machine": f"{machine.cores} cores of {machine.cpu_model}, {machine.memory_bytes >> 30} GiB, {machine.operating_system}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


if __name__ == "__main__":
    sys.exit(main())
