"""Does `isthmus bench --compare` cry wolf, and what does the harness add to what it measures?

    python -m benchmarks.bench_noise [--bundle PATH] [--runs 6] [--frames 600] [--json PATH]
    python -m benchmarks.bench_noise --simulated

The same measurement is made several times by the command a user types, and every pair of these equal runs is compared: the share
of figures whose 95% interval holds zero should be 95% or more; once with a pair alone, and once with the other runs named by
`--equal`. What the harness adds is the latency that it measures of a
placement that does nothing, beside the p50 of each real cell of one run. Without a bundle a small random network is exported, as
for the benchmark of the agent; the pictures are noise, so that every frame costs the same.

`--simulated` measures nothing: it draws pairs of equal runs whose frames remember their neighbours and whose starts differ, and
counts how often the interval holds zero. There no other program can disturb the answer.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from benchmarks.agent_footprint import SIDE, export_bundle
from rich.console import Console
from rich.table import Table

from isthmus.bench import comparison
from isthmus.bench.change import latency_errors
from isthmus.bench.results import read_results
from isthmus.bench.runner import Runner
from isthmus.bench.samples import Samples
from isthmus.contract.bundle import open_bundle
from isthmus.devices.detect import detect
from isthmus.errors import DeviceError
from isthmus.head.placement import Local, LocalAnswer

PLACEMENTS, LINKS = "local,webp-50,split", "20mbit/2ms,5mbit/20ms"
PICTURES = 40
EMPTY_FRAMES = 2000


SIMULATED = ((5, 0.0, 0.0), (5, 0.0, 0.6), (5, 0.03, 0.3), (3, 0.03, 0.3), (1, 0.0, 0.6), (1, 0.03, 0.3))
"""Starts, how far their speeds scatter, and how much a frame has of the one before it."""
SIMULATED_PAIRS, SIMULATED_FRAMES = 200, 600


class Nothing(Local):
    """Answers at once with what it answered before."""

    def answer(self, picture: np.ndarray) -> LocalAnswer:
        """The first answer again."""
        if not hasattr(self, "_last"):
            self._last = super().answer(picture)
        return LocalAnswer(outputs=self._last.outputs)


def harness_ms(bundle: Path) -> float:
    """Median latency of a placement that does nothing."""
    opened = open_bundle(bundle)
    runner = Runner(Nothing(opened), None)
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    times = []
    for _ in range(EMPTY_FRAMES):
        started = time.perf_counter()
        runner.answer(picture)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3


def simulated_run(random: np.random.Generator, starts: int, scatter: float, memory: float) -> Samples:
    """Latencies around 20 ms that scatter by a tenth."""
    start = np.repeat(np.arange(starts), SIMULATED_FRAMES // starts)
    noise = random.normal(size=len(start)) * np.sqrt(1 - memory**2)
    for place in range(1, len(noise)):
        noise[place] += memory * noise[place - 1]
    speeds = 1 + scatter * random.normal(size=starts)
    ones = np.ones(len(start))
    latency_ms = 20 * np.exp(0.1 * noise) * speeds[start]
    return Samples(start=start, sequence=np.arange(len(start)), latency_ms=latency_ms, payload_bytes=ones, right=ones)


def simulate() -> None:
    """Print how often intervals of simulated pairs hold zero."""
    random = np.random.default_rng(5)
    table = Table(title=f"{SIMULATED_PAIRS} pairs of simulated runs of {SIMULATED_FRAMES} frames", title_justify="left")
    for name in ("starts", "starts scatter", "memory", "p50 holds zero", "p95 holds zero", "half of the p50 interval"):
        table.add_column(name, justify="right")
    for starts, scatter, memory in SIMULATED:
        held, halves = Counter(), []
        for _ in range(SIMULATED_PAIRS):
            one, other = (simulated_run(random, starts, scatter, memory) for _ in range(2))
            errors = latency_errors(one, other, paired=True)
            for rank, error in errors.items():
                difference = np.subtract(*(np.percentile(run.latency_ms, rank) for run in (one, other)))
                held[rank] += bool(abs(difference) <= error)
            halves.append(errors[50] / 20)
        shares = [f"{held[rank] / SIMULATED_PAIRS:.1%}" for rank in (50, 95)]
        table.add_row(str(starts), f"{scatter:.0%}", f"{memory:g}", *shares, f"{np.median(halves):.2%}")
    Console().print(table)


def draw(folder: Path, frames: int) -> Path:
    """Pictures of noise; links to a few of them, for the disk's sake."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(min(PICTURES, frames)):
        cv2.imwrite(str(folder / f"{index:05d}.png"), random.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    for index in range(PICTURES, frames):
        (folder / f"{index:05d}.png").hardlink_to(folder / f"{index % PICTURES:05d}.png")
    return folder


def run_bench(bundle: Path, source: Path, output: Path) -> None:
    command = [sys.executable, "-m", "isthmus", "bench", str(bundle), "-o", str(output), "--source", str(source), "--no-gate"]
    command += ["--placements", PLACEMENTS, "--links", LINKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeviceError(f"isthmus bench failed: {done.stderr.strip()[-300:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--simulated", action="store_true")
    options = parser.parse_args()
    if options.simulated:
        simulate()
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle = options.bundle or export_bundle(folder)
        source = draw(folder / "pictures", options.frames)
        runs = [folder / f"run-{index}" for index in range(options.runs)]
        for run in runs:
            run_bench(bundle, source, run)
        found = summarise(runs, harness_ms(bundle))
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def pair_up(runs: list[Path], *, with_equal: bool) -> list[dict]:
    """A row for each figure, over all pairs of runs; the runs that are not of a pair may be named as equal to its first one."""
    held, told, widths = Counter(), Counter(), {}
    for before, after in itertools.combinations(runs, 2):
        equal = [run for run in runs if run not in (before, after)] if with_equal else []
        for change in (change for cell in comparison.compare(before, after, equal).cells for change in cell.changes):
            if change.verdict == "unknown":
                continue
            told[change.name] += 1
            held[change.name] += change.verdict == "no change seen"
            widths.setdefault(change.name, []).append((change.high - change.low) / 2 / (change.before or 1))
    return [
        {
            "figure": name,
            "with_equal": with_equal,
            "pairs": told[name],
            "held": held[name],
            "half_width": float(np.median(widths[name])),
        }
        for name in told
    ]


def latencies_that_held(rows: list[dict], *, with_equal: bool) -> float:
    """Share of latencies; bytes and answers of equal runs are equal here, to count them would flatter."""
    counted = [row for row in rows if row["with_equal"] == with_equal and row["figure"].startswith("latency_ms")]
    return sum(row["held"] for row in counted) / max(1, sum(row["pairs"] for row in counted))


def summarise(runs: list[Path], harness: float) -> dict:
    """Rows: one for each figure, how often its interval held zero; and one for each cell, what the harness adds."""
    rows = pair_up(runs, with_equal=False) + pair_up(runs, with_equal=True)
    results = [read_results(run / "results.json") for run in runs]
    shares = {row.label + (f" over {row.link}" if row.link else ""): harness / row.latency_ms.p50 for row in results[0].rows}
    meta = {
        "machine": detect().cpu_model,
        "runs": len(runs),
        "frames": results[0].meta["frames"],
        "starts": results[0].meta["starts"],
        "steady_runs": sum(bool(one.meta["steadiness"]["steady"]) for one in results),
        "held_zero": latencies_that_held(rows, with_equal=False),
        "held_zero_with_equal": latencies_that_held(rows, with_equal=True),
        "harness_ms": harness,
        "harness_share": shares,
    }
    return {"meta": meta, "rows": rows}


def show(found: dict) -> None:
    console, meta = Console(), found["meta"]
    table = Table(title=f"{meta['runs']} equal runs of {meta['frames']} frames, all pairs", title_justify="left")
    for name in ("figure", "--equal", "compared", "interval holds zero", "half of the interval, median"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for row in found["rows"]:
        others = str(meta["runs"] - 2) if row["with_equal"] else "-"
        table.add_row(row["figure"], others, str(row["pairs"]), f"{row['held'] / row['pairs']:.1%}", f"{row['half_width']:.2%}")
    console.print(table)
    console.print(
        f"Latencies: {meta['held_zero']:.1%} of pairs alone, {meta['held_zero_with_equal']:.1%} with the other runs as --equal "
        f"(target 95%); {meta['steady_runs']} of {meta['runs']} runs were steady."
    )
    shares = ", ".join(f"{name} {share:.2%}" for name, share in meta["harness_share"].items())
    console.print(f"The harness adds {meta['harness_ms'] * 1e3:.1f} us to a latency (target 1%): {shares}.")


if __name__ == "__main__":
    main()
