"""What an export costs: CPU time and memory of `isthmus export` on ResNet-50, per bottleneck.

    python benchmarks/exporter_cost.py [--bottleneck pca ...] [--int8 auto] [--pictures 200] [--model MODEL] [--json PATH]

The network is ResNet-50 with random weights, built by transformers from its configuration; the pictures are smooth noise made
here, good for time and memory and for nothing else. Each export is the command a user types, in a process of its own with one
thread, after the libraries are imported and torch has exported a network of two layers: both numbers begin there, so that they
are the model's and not the libraries'. What the imports themselves take is a column of its own.
"""

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from isthmus.devices.detect import detect

FOLDER = Path(__file__).resolve().parent
TARGET_CPU_S, TARGET_TIMES = 60.0, 3.0
PROGRAM = """
import atexit, contextlib, json, sys, time
from pathlib import Path

import torch

import isthmus.cli.main
import isthmus.export.exporter
from isthmus.devices.memory import peak_resident_bytes, resident_bytes
from zoo.row import warm_up

facts, arguments = sys.argv[1], sys.argv[2:]
torch.set_num_threads(1)
warm_up(arguments[1])
begun_s, resident = time.process_time(), resident_bytes()

@atexit.register
def tell():
    cpu_s = time.process_time() - begun_s
    found = {"cpu_s": cpu_s, "import_cpu_s": begun_s, "resident_bytes": resident, "peak_bytes": peak_resident_bytes()}
    Path(facts).write_text(json.dumps(found), encoding="utf-8")

sys.argv = ["isthmus", *arguments]
isthmus.cli.main.main()
"""
console = Console(stderr=True, width=120)


def write_pictures(path: Path, count: int, side: int) -> None:
    """Smooth noise in two classes, uint8[n, row, column, 3], as an npz that `--data` takes."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, side // 16, side // 16, 3), dtype=np.uint8)
    images = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse])
    np.savez(path, images=images, labels=np.arange(count) % 2, names=np.array(["even", "odd"]))


def measure(options: argparse.Namespace, bottleneck: str, folder: Path) -> dict[str, Any]:
    """One export; a refusal is a row with its reason."""
    bundle, facts = folder / f"{bottleneck}-bundle", folder / f"{bottleneck}.json"
    arguments = ["export", options.model, "-o", str(bundle), "--bottleneck", bottleneck, "--data", str(folder / "pictures.npz")]
    arguments += ["--preprocess", "imagenet", "--cut", options.cut, "--int8", options.int8]
    path = os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-c", PROGRAM, str(facts), *arguments]
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=options.limit, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return {"bottleneck": bottleneck, "refused": last}
    return {"bottleneck": bottleneck, **summary(json.loads(facts.read_text(encoding="utf-8")), bundle)}


def summary(facts: dict[str, float], bundle: Path) -> dict[str, Any]:
    """Figures of one export, memory over the size of the network as the bundle stores it."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    model_bytes = (bundle / "whole.onnx").stat().st_size
    growth = facts["peak_bytes"] - facts["resident_bytes"]
    return {
        "cpu_s": round(facts["cpu_s"], 1),
        "import_cpu_s": round(facts["import_cpu_s"], 1),
        "model_mb": round(model_bytes / 1e6, 1),
        "growth_mb": round(growth / 1e6, 1),
        "growth_times": round(growth / model_bytes, 2),
        "gates": {gate["name"]: gate["value"] for gate in manifest["gates"]},
        "files": sorted(path.name for path in bundle.iterdir()),
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table, and what was refused below it."""
    columns = ("bottleneck", "cpu_s", "import_cpu_s", "model_mb", "growth_mb", "growth_times")
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row.get(column, "-")) for column in columns))
    console.print(table)
    for row in rows:
        if "refused" in row:
            console.print(f"{row['bottleneck']}: {row['refused']}", style="red", highlight=False, markup=False, soft_wrap=True)
    console.print(f"targets: at most {TARGET_CPU_S:g} s of CPU and {TARGET_TIMES:g} times the model", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bottleneck", action="append", choices=["none", "pca"], help="default pca; repeats")
    parser.add_argument("--int8", default="auto", choices=["auto", "on", "off"])
    parser.add_argument("--model", default="zoo.architectures:resnet50", help="opened in the folder `benchmarks`")
    parser.add_argument("--cut", default="auto")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--side", type=int, default=224, help="rows and columns of a picture")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds an export may take")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="isthmus-cost-") as temporary:
        folder = Path(temporary)
        write_pictures(folder / "pictures.npz", options.pictures, options.side)
        rows = [measure(options, bottleneck, folder) for bottleneck in options.bottleneck or ["pca"]]
    meta = {
        "benchmark": "exporter_cost",
        "model": options.model,
        "pictures": f"{options.pictures} of smooth noise, {options.side} pixels",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": dataclasses.asdict(detect()),
    }
    text = json.dumps({"meta": meta, "rows": rows}, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    show(rows)
    print(text)
    return 1 if any("refused" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
