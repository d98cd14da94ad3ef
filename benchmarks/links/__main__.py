"""Outages of a link, timed: the agent and the server as the commands a user types, and a link between them that goes and comes.

    python -m benchmarks.links [--outages 50] [--round-trips 10,40,100,200] [--link shaper|tun|both] [--json PATH]

Two links. `shaper` is the userspace one: bytes wait while it is down and go on when it is back, as behind a box that ends TCP.
`tun` (root) is the kernel's own TCP between two network namespaces: packets are lost while it is down, and TCP backs off.

Printed for each: time from the link's return to the first answer of the server, p50 and p95, in seconds and over the target
(0.5 s + 4 round trips); the share of the frames of the outages that got an answer within their deadline, all of them the device's
own; and how often the link was given up during a time of 5% loss, of which there should be none. Where bytes are not lost, loss
is what TCP makes of it: stalls of 0.2 s and a round trip, twice that once in twenty, and so on.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.agent_footprint import export_bundle, make_belt
from benchmarks.links.links import FPS, LINKS, Shaped, Tunnelled
from rich.console import Console
from rich.table import Table

from isthmus.devices.detect import detect
from isthmus.errors import DeviceError

LOSS = 0.05
PATIENCE_S = 120.0
"""A server that was not heard of again for so long counts as lost."""
console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one case."""

    link: str
    round_trip_ms: float
    outage_s: float
    outages: int
    target_s: float
    back_p50_s: float
    back_p95_s: float
    back_max_s: float
    frames_in_outages: int
    answered_in_time: int
    loss_s: float
    false_disconnects: int


class Agent:
    """`isthmus run`; knows when each record came."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._came = threading.Condition()
        self.records: list[tuple[float, dict[str, object]]] = []
        self.lost = 0
        self._words: list[str] = []
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_log)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._came:
                self.records.append((time.monotonic(), json.loads(line)))
                self._came.notify_all()

    def _read_log(self) -> None:
        for line in self._process.stderr:
            self.lost += '"link lost"' in line
            self._words = [*self._words[-5:], line.strip()]

    def first_remote(self, since: float) -> float:
        """Wait for the first answer of the server that came after a time; returns when it came."""
        until, seen = time.monotonic() + PATIENCE_S, 0
        with self._came:
            while time.monotonic() < until:
                for came_at, row in self.records[seen:]:
                    if came_at > since and row["placement"] == "split":
                        return came_at
                seen = len(self.records)
                self._came.wait(1.0)
        raise DeviceError(f"no answer of the server came within {PATIENCE_S:g} s; the agent said: {self._words}")

    def between(self, begin: float, end: float) -> list[dict[str, object]]:
        """Records that came then."""
        with self._came:
            return [row for came_at, row in self.records if begin < came_at < end]

    def stop(self) -> None:
        """End it, gently."""
        self._process.terminate()
        self._process.wait(30)


@contextlib.contextmanager
def serving(bundle: Path, link: Shaped | Tunnelled) -> Iterator[str]:
    """`isthmus serve` at the far end; gives its address."""
    command = [*link.server, sys.executable, "-m", "isthmus", "serve", str(bundle), "--host", link.host, "--grpc-port", "0"]
    command += ["--metrics-port", "0", "--insecure"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready = re.search(r"grpc=(\S+)", process.stdout.readline())
            if ready is None:
                raise DeviceError("the server did not start")
            yield ready[1]
        finally:
            process.terminate()


def measure(kind: str, number: int, round_trip_s: float, bundle: Path, belt: Path, options: argparse.Namespace) -> Result:
    """One case."""
    link = LINKS[kind](number, round_trip_s)
    deadline_s = round_trip_s + 0.2
    try:
        with serving(bundle, link) as target:
            command = [*link.device, sys.executable, "-m", "isthmus", "run", str(bundle), "--source", f"belt:{belt}"]
            command += ["--fps", str(FPS), "--no-gate", "--tail", link.before(target), "--deadline", f"{deadline_s * 1e3:.0f}ms"]
            command += ["--sink", "jsonl:-", "--log-format", "json", "--device-id", f"bench-{kind}-{number}"]
            agent = Agent(command)
            try:
                agent.first_remote(0.0)
                backs, rows = [], []
                for _ in range(options.outages):
                    time.sleep(random.uniform(1.0, 2.0))
                    down_at = time.monotonic()
                    link.set_up(False)
                    time.sleep(options.outage_s)
                    link.set_up(True)
                    up_at = time.monotonic()
                    backs.append(agent.first_remote(up_at) - up_at)
                    # What came a deadline after the link went was captured without it.
                    rows += agent.between(down_at + deadline_s, up_at)
                    console.print(f"{kind} {round_trip_s * 1e3:g} ms: back after {backs[-1]:.3f} s", highlight=False)
                time.sleep(2.0)
                lost = agent.lost
                link.set_loss(LOSS)
                time.sleep(options.loss_s)
                link.set_loss(0.0)
                false_disconnects = agent.lost - lost
            finally:
                agent.stop()
    finally:
        link.close()
    backs.sort()
    return Result(
        link=kind,
        round_trip_ms=round_trip_s * 1e3,
        outage_s=options.outage_s,
        outages=len(backs),
        target_s=0.5 + 4 * round_trip_s,
        back_p50_s=statistics.median(backs),
        back_p95_s=backs[min(len(backs) - 1, int(0.95 * len(backs)))],
        back_max_s=backs[-1],
        frames_in_outages=len(rows),
        answered_in_time=sum(row["placement"] != "drop" for row in rows),
        loss_s=options.loss_s,
        false_disconnects=false_disconnects,
    )


def print_table(results: list[Result]) -> None:
    table = Table(title=f"Outages, {FPS} frames a second")
    columns = ("link", "round trip", "outages", "back p50", "p95", "p95 / target", "answered in time", "given up at 5% loss")
    for column in columns:
        table.add_column(column, justify="right")
    for one in results:
        table.add_row(
            one.link,
            f"{one.round_trip_ms:g} ms",
            f"{one.outages} x {one.outage_s:g} s",
            f"{one.back_p50_s:.3f} s",
            f"{one.back_p95_s:.3f} s",
            f"{one.back_p95_s / one.target_s:.2f}",
            f"{one.answered_in_time} of {one.frames_in_outages}",
            f"{one.false_disconnects} in {one.loss_s:g} s",
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--outages", type=int, default=50, help="for each round trip (default: %(default)s)")
    parser.add_argument("--outage-s", type=float, default=3.0, help="how long each lasts (default: %(default)s)")
    parser.add_argument("--loss-s", type=float, default=60.0, help="how long there is loss (default: %(default)s)")
    parser.add_argument("--round-trips", default="10,40,100,200", help="in milliseconds (default: %(default)s)")
    parser.add_argument("--parallel", type=int, default=2, help="round trips measured at a time (default: %(default)s)")
    parser.add_argument("--link", choices=[*LINKS, "both"], default=None, help="default: both for root, else shaper")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    chosen = options.link or ("both" if os.geteuid() == 0 and Path("/dev/net/tun").exists() else "shaper")
    kinds = list(LINKS) if chosen == "both" else [chosen]
    round_trips = [float(text) / 1e3 for text in options.round_trips.split(",")]
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="isthmus-links-") as temporary:
        folder = Path(temporary)
        bundle = export_bundle(folder)
        frames = int(FPS * (options.outages * (options.outage_s + 10) + options.loss_s + 60))
        make_belt(frames).save(folder / "belt.npz")
        for kind in kinds:
            with ThreadPoolExecutor(options.parallel) as pool:
                cases = [
                    pool.submit(measure, kind, number, round_trip_s, bundle, folder / "belt.npz", options)
                    for number, round_trip_s in enumerate(round_trips)
                ]
                results += [case.result() for case in cases]
    print_table(results)
    if options.json:
        meta = {
            "command": shlex.join(["python", "-m", "benchmarks.links", *sys.argv[1:]]),
            "machine": asdict(detect()),
        }
        options.json.write_text(json.dumps({"meta": meta, "rows": [asdict(one) for one in results]}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
