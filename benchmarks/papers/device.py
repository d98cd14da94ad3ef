"""The device side of a run, a process of its own on one core: placements that take turns, frame by frame.

    python benchmarks/papers/device.py ROUND.json       started by `emulated`

The core is its own before anything is loaded. It says `ready` once every network has run and every link is open, then answers
orders, lines of JSON, with lines of JSON: {"cells": [name, ...], "frames": n} with {"rows": [...]}.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from isthmus.bench.runner import Runner
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.head.link import Link
from isthmus.head.model import DeviceModel
from isthmus.head.placement import Local, Offload, Sender, Split

CONNECT_TIMEOUT_S = 20.0
WARM_UP = 3
"""Frames that nobody counts."""


class Whole(Local):
    """One of a bundle's whole networks, by its file."""

    def __init__(self, bundle: Bundle, file: str) -> None:
        self._model = DeviceModel(bundle, file)
        self.providers = self._model.providers
        self.setting = file.removesuffix(".onnx")


def placement(cell: dict[str, Any], bundle: Bundle) -> Local | Sender:
    """What a cell does with a picture."""
    if cell["kind"] == "local":
        return Whole(bundle, cell["file"])
    if cell["kind"] == "split":
        return Split(bundle, int8=False)
    preparation = bundle.manifest.preparation
    assert preparation is not None
    fitted = preparation.model_copy(update={"width": cell["side"], "height": cell["side"], "interpolation": "area"})
    return Offload(cell["format"], cell["quality"], fitted_to=fitted)


def runner(cell: dict[str, Any]) -> Runner:
    """One device of a cell, connected."""
    bundle = open_bundle(Path(cell["bundle"]))
    link = None
    if "address" in cell:
        link = Link(bundle, [cell["address"]], device_id=f"papers {cell['name']}")
        link.__enter__()
        link.wait_connected(CONNECT_TIMEOUT_S)
    return Runner(placement(cell, bundle), link)


def answered(runners: dict[str, Runner], pictures: list[np.ndarray], cells: list[str], frames: int) -> list[dict[str, Any]]:
    """Rows of the cells that are named; every picture goes through all of them before the next one comes."""
    rows: dict[str, dict[str, Any]] = {name: {"cell": name, "latency_ms": [], "stages_ms": {}, "bytes": []} for name in cells}
    for number in range(frames):
        picture = pictures[number % len(pictures)]
        for place in range(len(cells)):
            name = cells[(number + place) % len(cells)]
            _enter(rows[name], runners[name], picture)
    return list(rows.values())


def _enter(row: dict[str, Any], runner: Runner, picture: np.ndarray) -> None:
    begun = time.perf_counter()
    exchange = runner.answer(picture)
    spent_ms = 1e3 * (time.perf_counter() - begun)
    if exchange.failure:
        row.setdefault("failures", []).append(exchange.failure)
        return
    row["latency_ms"].append(spent_ms)
    row["bytes"].append(exchange.payload_bytes)
    for stage, seconds in exchange.stages_s.items():
        row["stages_ms"].setdefault(stage, []).append(1e3 * seconds)


def _go_first() -> None:
    """Before whatever else this machine does: that must not share what is left of the core."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    os.sched_setaffinity(0, {given["core"]})
    _go_first()
    # Logs go where errors go: what is read from here must be answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    pictures = [cv2.imread(path) for path in given["pictures"]]
    runners = {cell["name"]: runner(cell) for cell in given["cells"]}
    answered(runners, pictures, list(runners), WARM_UP)
    print("ready", file=answers)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps({"rows": answered(runners, pictures, order["cells"], order["frames"])}), file=answers)
    # Its links are threads that try for ever: the process ends, and they with it.
    os._exit(0)


if __name__ == "__main__":
    main()
