"""The edge server beside a bare onnxruntime loop, MLServer, LitServe, BentoML and Ray Serve, and beside a raw TCP echo.

    python -m benchmarks.server [--quick] [--peers NAME,...] [-o server.json] [--docs docs] [--work build/bench-server]

One run measures everything in turns and writes the page docs/server-benchmark.md with its plots. Each peer is installed into an
environment of its own below `--work`, once; one that cannot be installed or started is told on the page and the others go on.
`--quick` takes about two minutes, measures no peers and prints the page instead.
"""

import argparse
import asyncio
import datetime
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import uvloop
from benchmarks.server import flood, latency, material, page, peers, summary, throughput
from benchmarks.server.contenders import isthmus_inference, isthmus_server
from benchmarks.server.summary import Row
from benchmarks.server.throughput import BARE, Contender, Plan, Say

from isthmus.devices.detect import detect

COMMAND = "make bench-server"
FULL, QUICK = Plan(rounds=6, seconds=2.0), Plan(rounds=2, seconds=1.0)
_OWN = (
    Contender(
        name=summary.ISTHMUS,
        told="`isthmus serve` with one instance and otherwise its defaults; its own stream, codes compressed by the codec (zstd)",
        start=isthmus_server,
    ),
    Contender(
        name=f"{summary.ISTHMUS}, Open Inference Protocol",
        told="the same server, unary calls with raw contents, as MLServer is asked",
        start=isthmus_inference,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two minutes, no peers, nothing written but --output")
    parser.add_argument("--peers", help=f"just these, with commas: {','.join(peer.name for peer in peers.ALL)}; '' is none")
    parser.add_argument("-o", "--output", type=Path, help="JSON with all figures")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where page and plots are written")
    parser.add_argument("--work", type=Path, default=Path("build/bench-server"), help="where environments and logs are kept")
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given)
    chosen = [] if options.quick else peers.ALL
    if options.peers is not None:
        chosen = [peer for peer in peers.ALL if peer.name in options.peers.split(",")]
    contenders = [*_OWN, *(Contender(name=peer.name, told=peer.told, start=peer.running) for peer in chosen)]
    plan = QUICK if options.quick else FULL
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    options.work.mkdir(parents=True, exist_ok=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tail, rows = runner.run(measure(contenders, plan, options.work, say))
    facts = meta(given, tail, contenders, plan)
    if options.output:
        options.output.write_text(json.dumps({"meta": facts, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            print(page.write(Path(folder), facts, rows).read_text(encoding="utf-8"))
    else:
        print(f"written: {page.write(options.docs, facts, rows)}")
    return 0


async def measure(contenders: Sequence[Contender], plan: Plan, work: Path, say: Say) -> tuple[str, list[Row]]:
    """How the tail was made, and all rows."""
    say("making the tail")
    tail = material.make_tail(work / "tail")
    rows = summary.load_rows(await throughput.measure(contenders, tail, work, plan, say))
    rows += summary.latency_rows(await latency.measure(work, say, rounds=plan.rounds))
    rows.append(summary.flood_row(await flood.measure(tail, work, say, rounds=min(plan.rounds, 4))))
    return tail.told, rows + summary.targets(rows)


def meta(given: Sequence[str], tail: str, contenders: Sequence[Contender], plan: Plan) -> dict[str, Any]:
    """Machine, date, command, versions, and how each server was run."""
    machine = detect()
    return {
        "benchmark": "server",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "command": f"python -m benchmarks.server {shlex.join(given)}" if given else COMMAND,
        "machine": f"{machine.cores} cores of {machine.cpu_model}, {machine.memory_bytes >> 30} GiB, {machine.operating_system}",
        "versions": {
            "Python": machine.python,
            **{name: metadata.version(name) for name in ("onnxruntime", "grpcio", "protobuf")},
            **{peer.package: peer.version for peer in peers.ALL if peer.name in [one.name for one in contenders]},
        },
        "tail": tail,
        "served": {BARE: "a loop in the process that measures", **{one.name: one.told for one in contenders}},
        "rounds": plan.rounds,
        "seconds": plan.seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
