"""What the device agent costs: memory, time to the first answer and CPU per frame of `isthmus run` against a real server.

The agent is the command a user types, as a process of its own; the server is another. Peak memory is the kernel's VmHWM of the
agent, CPU is its user and system time until it ended; CPU per frame of the steady run is the difference between a long and a
short run, so that start-up cancels.

    python benchmarks/agent_footprint.py [--bundle PATH] [--frames 600] [--rounds 3] [--json PATH]

Without a bundle a small random network (three convolutions, 64 x 64 pixels) is exported: it costs what a head of that size
costs and answers nonsense. The scene is the synthetic belt with scikit-learn's digits.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import numpy as np
from rich.console import Console
from rich.table import Table

from isthmus.bench import programs
from isthmus.contract.bundle import open_bundle
from isthmus.devices.detect import detect
from isthmus.devices.memory import peak_resident_bytes
from isthmus.errors import DeviceError
from isthmus.head.belt import Belt

SHORT_FRAMES = 100
SIDE = 64
VARIANTS = {
    "split": ["--placement", "split", "--no-standby"],
    "split, standby": ["--placement", "split"],
    "offload": ["--placement", "offload", "--no-standby"],
    "local": ["--placement", "local"],
}
"""What the table calls it -> options of `isthmus run`; with a standby the agent has `local.onnx` in memory too."""
FACTORY = f"""
import torch

def build():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3, stride=2, padding=1),
              torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, stride=2, padding=1), torch.nn.ReLU(),
              torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 10)]
    return torch.nn.Sequential(*layers).eval(), (torch.zeros(1, 3, {SIDE}, {SIDE}),)
"""


def make_belt(frames: int) -> Belt:
    """The digits of scikit-learn on a belt."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Belt(digits.images.astype(np.uint8), digits.target.astype(np.uint8), seed=0, frames=frames)


def export_bundle(folder: Path) -> Path:
    """A bundle without training, in a process of its own: torch has no place in the one that measures."""
    (folder / "factory.py").write_text(FACTORY, encoding="utf-8")
    images = np.stack([view.image for view in make_belt(300)][::5])
    np.savez(folder / "frames.npz", images=images)
    bundle = folder / "small.isthmus"
    program = (
        "import sys; from pathlib import Path; from isthmus.export.exporter import ExportSettings, export;"
        "settings = ExportSettings(bottleneck='none', data=Path(sys.argv[2]), local='whole');"
        "export(sys.argv[1], Path(sys.argv[3]), settings)"
    )
    command = [sys.executable, "-c", program, "factory:build", str(folder / "frames.npz"), str(bundle)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeviceError(f"the bundle was not exported: {done.stderr.strip()[-300:]}")
    return bundle


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """One run of the agent."""

    frames: int
    answered: int
    peak_bytes: int
    first_answer_s: float
    cpu_s: float
    wall_s: float
    stages_ms: dict[str, float]
    """Median time of each stage of the frames that were answered; stages of others are in `network` and `server ...`."""


def run_agent(arguments: list[str]) -> Footprint:
    """Run the agent to its end and look at it from outside; its records come through a pipe, one line a frame."""
    command = [sys.executable, "-m", "isthmus", "run", *arguments, "--sink", "jsonl:-"]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        frames = answered = peak = 0
        first_answer_s = float("nan")
        stages: dict[str, list[float]] = {}
        for line in process.stdout or ():
            frames += 1
            record = json.loads(line)
            if "reason" not in record:
                for stage, taken_ms in record["stages_ms"].items():
                    stages.setdefault(stage, []).append(taken_ms)
                if not answered:
                    first_answer_s = time.monotonic() - started
                answered += 1
            if frames % 10 == 1:
                # The last look may come after the agent's end.
                with contextlib.suppress(DeviceError):
                    peak = max(peak, peak_resident_bytes(process.pid))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - started
    if process.returncode or not answered:
        raise DeviceError(f"the agent ended with {process.returncode} and {answered} answers: {' '.join(command)}")
    return Footprint(
        frames=frames,
        answered=answered,
        # Not ru_maxrss: it counts what this process held when it started the agent.
        peak_bytes=peak,
        first_answer_s=first_answer_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=wall_s,
        stages_ms={stage: round(statistics.median(taken), 3) for stage, taken in stages.items()},
    )


def measure(bundle: Path, folder: Path, tail: str, options: argparse.Namespace) -> list[dict[str, object]]:
    """One row a variant; rounds interleave them."""
    variants = {name: given for name, given in VARIANTS.items() if "standby" not in name or open_bundle(bundle).has("local.onnx")}
    for frames in (SHORT_FRAMES, SHORT_FRAMES + options.frames):
        make_belt(frames).save(folder / f"belt-{frames}.npz")
    runs: dict[str, list[tuple[Footprint, Footprint]]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, given in variants.items():
            arguments = [str(bundle), *given, "--no-gate", "--device-id", "footprint"]
            arguments += [] if name == "local" else ["--tail", tail]
            short, long = (
                run_agent([*arguments, "--source", f"belt:{folder}/belt-{frames}.npz"])
                for frames in (SHORT_FRAMES, SHORT_FRAMES + options.frames)
            )
            runs[name].append((short, long))
    return [summarise(name, pairs) for name, pairs in runs.items()]


def summarise(name: str, pairs: list[tuple[Footprint, Footprint]]) -> dict[str, object]:
    """Medians over the rounds."""
    cpu_ms = [(long.cpu_s - short.cpu_s) / (long.frames - short.frames) * 1e3 for short, long in pairs]
    wall_ms = [(long.wall_s - short.wall_s) / (long.frames - short.frames) * 1e3 for short, long in pairs]
    return {
        "placement": name,
        "frames": pairs[0][1].frames,
        "answered": min(long.answered for _, long in pairs),
        "peak_mib": round(statistics.median(long.peak_bytes for _, long in pairs) / 2**20, 1),
        "first_answer_s": round(statistics.median(one.first_answer_s for pair in pairs for one in pair), 3),
        "cpu_ms_per_frame": round(statistics.median(cpu_ms), 3),
        "cpu_ms_per_frame_rounds": [round(value, 3) for value in cpu_ms],
        "wall_ms_per_frame": round(statistics.median(wall_ms), 3),
        "stages_ms": pairs[-1][1].stages_ms,
        "start_cpu_s": round(statistics.median(s.cpu_s - s.frames * c / 1e3 for (s, _), c in zip(pairs, cpu_ms, strict=True)), 3),
    }


def belt_cost_ms() -> float:
    """CPU of drawing a belt frame, which a camera would not cost; it is inside the agent's figures."""
    belt = make_belt(300)
    begun = time.process_time()
    for index in range(len(belt)):
        belt.frame(index)
    return (time.process_time() - begun) / len(belt) * 1e3


def show(rows: list[dict[str, object]], drawing_ms: float) -> None:
    """Print the table."""
    columns = ("placement", "frames", "answered", "peak_mib", "first_answer_s", "cpu_ms_per_frame", "wall_ms_per_frame")
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    console = Console(stderr=True, width=110)
    console.print(table)
    for row in rows:
        stages = ", ".join(f"{stage} {taken}" for stage, taken in cast("dict[str, float]", row["stages_ms"]).items())
        console.print(f"{row['placement']}: median ms of {stages}", highlight=False)
    console.print(f"drawing a belt frame takes {drawing_ms:.3f} ms of CPU, which is in cpu_ms_per_frame", highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a vision bundle that carries whole.onnx; default: a small random one")
    parser.add_argument("--frames", type=int, default=600, help="frames between the short and the long run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = options.bundle.resolve() if options.bundle else export_bundle(folder)
        with programs.server(bundle) as server:
            rows = measure(bundle, folder, server.match["grpc"], options)
    drawing_ms = belt_cost_ms()
    meta = {
        "benchmark": "agent_footprint",
        "bundle": str(options.bundle or "small random network"),
        "rounds": options.rounds,
        "belt_drawing_ms": round(drawing_ms, 3),
        "date": time.strftime("%Y-%m-%d"),
        "machine": dataclasses.asdict(detect()),
    }
    text = json.dumps({"meta": meta, "rows": rows}, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    show(rows, drawing_ms)
    print(text)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
