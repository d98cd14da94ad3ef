"""Placements on an emulated slow device, over shaped links, before a real server that is not slowed."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.papers import slow_core

from isthmus.bench import programs
from isthmus.devices import link as links
from isthmus.errors import DeviceError

CLOSE = 0.02
"""A calibration that is so near to what was wanted is good."""
TRIES = 4
QUICK_FRAMES, SLOW_FRAMES = 9, 5
DEVICE = Path(__file__).with_name("device.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One placement.

    Attributes:
        name: unique.
        bundle: it is of.
        kind: `local`, `split` or `offload`.
        link: text of the link; empty where nothing is sent.
        how: what the kind needs, see `device.placement`.
    """

    name: str
    bundle: Path
    kind: str
    link: str = ""
    how: dict[str, Any] = field(default_factory=dict)


class Device:
    """A device process that takes orders."""

    def __init__(self, process: "subprocess.Popen[str]", core: int) -> None:
        self._process = process
        self.core = core

    def order(self, cells: Sequence[str], frames: int) -> dict[str, dict[str, Any]]:
        """Rows by name of the cell: latency_ms, stages_ms and bytes of each answered frame.

        Raises:
            DeviceError: the process has ended, or a cell was answered not once.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"cells": list(cells), "frames": frames}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise DeviceError("the device process has ended")
        rows = {row["cell"]: row for row in json.loads(line)["rows"]}
        for row in rows.values():
            if not row["latency_ms"]:
                raise DeviceError(f"{row['cell']} was never answered: {', '.join(sorted(set(row['failures'])))}")
        return rows

    def network_ms(self, cell: str, frames: int) -> float:
        """Median time of a network on the device."""
        return float(np.median(self.order([cell], frames)[cell]["stages_ms"]["head"]))


@contextmanager
def started(bundle: Path, cells: Sequence[Cell], pictures: Sequence[Path]) -> Iterator[Device]:
    """A server of a bundle, a link for each cell that sends, and the device, on cores of their own; not slowed yet."""
    allowed, core = os.sched_getaffinity(0), slow_core.core()
    with ExitStack() as stack:
        os.sched_setaffinity(0, slow_core.others() or allowed)
        stack.callback(os.sched_setaffinity, 0, allowed)
        server = stack.enter_context(programs.server(bundle))
        told = []
        for cell in cells:
            row = {"name": cell.name, "bundle": str(cell.bundle), "kind": cell.kind, **cell.how}
            if cell.link:
                shaper = stack.enter_context(programs.shaper(server.match["grpc"], links.parse(cell.link)))
                row["address"] = shaper.match["address"]
            told.append(row)
        yield stack.enter_context(_device(told, pictures, core))


@contextmanager
def _device(cells: Sequence[dict[str, Any]], pictures: Sequence[Path], core: int) -> Iterator[Device]:
    with tempfile.TemporaryDirectory(prefix="isthmus-papers-") as name, tempfile.TemporaryFile("w+") as errors:
        given = Path(name) / "round.json"
        given.write_text(json.dumps({"core": core, "pictures": [str(path) for path in pictures], "cells": list(cells)}))
        command = [sys.executable, str(DEVICE), str(given)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                errors.seek(0)
                raise DeviceError(
                    f"the device process did not start: {(errors.read().strip().splitlines() or ['it said nothing'])[-1]}"
                )
            yield Device(process, core)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How slow the core became.

    Attributes:
        wanted_ms: what the network is to take.
        quick_ms: what it takes on the core as it is.
        slow_ms: what it took then.
        share: of the core's time.
    """

    wanted_ms: float
    quick_ms: float
    slow_ms: float
    share: float

    @property
    def off(self) -> float:
        """By what part of the wanted time it is off."""
        return abs(self.slow_ms / self.wanted_ms - 1)


def calibrate(device: Device, cell: str, wanted_ms: float) -> Calibration:
    """Find the share of the core at which a network takes `wanted_ms`.

    Raises:
        DeviceError: no share does; this machine is too fast or too slow for that.
    """
    quick_ms = device.network_ms(cell, QUICK_FRAMES)
    share = quick_ms / wanted_ms
    tried = []
    for _ in range(TRIES):
        try:
            with slow_core.SlowCore(device.core, share):
                slow_ms = device.network_ms(cell, SLOW_FRAMES)
        except ValueError as error:
            raise DeviceError(f"{cell} takes {quick_ms:.1f} ms here and is to take {wanted_ms:g} ms: {error}") from error
        tried.append(Calibration(wanted_ms=wanted_ms, quick_ms=quick_ms, slow_ms=slow_ms, share=share))
        if tried[-1].off <= CLOSE:
            break
        share *= slow_ms / wanted_ms
    return min(tried, key=lambda one: one.off)
