"""Is this machine fit to run an agent? One check for each thing that goes wrong on devices.

Neither onnxruntime nor OpenCV is imported here: where they do not fit the CPU, that would kill the process.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus.codec import predictive
from isthmus.devices import clock, sensors
from isthmus.devices.detect import Machine
from isthmus.devices.sensors import throttling

Verdict = Literal["ok", "warn", "fail"]

MEMORY_MIN_BYTES = 400 * 10**6
"""An agent holds some 150 MB, and Linux with a camera as much again."""
DISK_MIN_BYTES = 200 * 10**6
"""Logs, sinks and a bundle beside the one that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check came to."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""
    exit_code: int = 0
    """What the command ends with if this is the first failure."""


def finding(check: str, found: str, *, bad: bool = False, severe: bool = True, advice: str = "") -> Finding:
    """What a check found; `severe` tells a failure from a warning, and advice is given where it is `bad`."""
    verdict: Verdict = "ok" if not bad else "fail" if severe else "warn"
    return Finding(check=check, verdict=verdict, found=found, advice=advice if bad else "", exit_code=int(bad and severe))


def examine_machine(machine: Machine, *, folder: Path, hot_c: float = sensors.HOT_C, root: Path = Path("/")) -> Iterator[Finding]:
    """Look at the machine; nothing of the bundle or the server is needed.

    Args:
        machine: what `devices.detect` found.
        folder: where the agent writes.
        hot_c: temperature from which on it counts as hot.
        root: where `dev` and `sys` lie; tests give a fake tree.
    """
    small = sys.maxsize <= 2**32
    yield finding("python", f"{machine.python} on {machine.architecture}", bad=small, advice="install a 64-bit system")
    problem = machine.onnxruntime_problem or "not installed"
    yield finding(
        "onnxruntime",
        f"{machine.onnxruntime}, providers {', '.join(machine.onnxruntime_providers or ())}" if machine.onnxruntime else problem,
        bad=machine.onnxruntime is None,
        advice="pip install 'isthmus[head]'; a wheel that is killed by SIGILL needs a newer CPU, take another version of it",
    )
    yield finding("opencv", machine.opencv or "not installed", bad=machine.opencv is None, advice="pip install 'isthmus[head]'")
    yield finding(
        "codec core",
        "built" if predictive.IS_FAST else "not built: codes cross in the mode zstd, with more bytes",
        bad=not predictive.IS_FAST,
        severe=False,
        advice="install a C compiler, then `pip install --force-reinstall --no-deps isthmus`",
    )
    memory = machine.memory_bytes
    yield finding("memory", f"{memory / 1e6:.0f} MB", bad=memory < MEMORY_MIN_BYTES, severe=False, advice="close other programs")
    yield _disk(folder)
    yield _clock()
    yield _temperature(hot_c, root)
    yield _throttling(root)
    yield _cameras(root)


def _disk(folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return finding("disk", f"{folder}: {error.strerror}", bad=True, advice="make the folder")
    writable = os.access(folder, os.W_OK)
    found = f"{free / 1e6:.0f} MB free in {folder}" + ("" if writable else ", which this user may not write to")
    return finding("disk", found, bad=free < DISK_MIN_BYTES or not writable, severe=False, advice="free space, or choose another")


def _clock() -> Finding:
    synchronised = clock.is_synchronised()
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    words = {True: "synchronised", False: "not synchronised", None: "the kernel does not say whether it is right"}[synchronised]
    return finding(
        "clock", f"{now}, {words}", bad=not synchronised, severe=False, advice="let NTP set it: timedatectl set-ntp true"
    )


def _temperature(hot_c: float, root: Path) -> Finding:
    felt = sensors.read(root)
    hot = felt.temperature_c is not None and felt.temperature_c >= hot_c
    celsius = "no sensor" if felt.temperature_c is None else f"{felt.temperature_c:.0f} degrees"
    battery = "" if felt.battery_share is None else f", battery at {felt.battery_share:.0%}"
    return finding("temperature", celsius + battery, bad=hot, severe=False, advice="cool it; until then fewer frames are taken")


def _throttling(root: Path) -> Finding:
    state = throttling.look(root)
    if state is None:
        return finding("throttling", "nothing tells of it here")
    words = [f"now: {', '.join(state.now) or 'none'}"]
    words += [f"since the start: {', '.join(state.since_start)}"] if state.since_start else []
    words += [f"{state.events} events since the start"] if state.events else []
    slowed = bool(state.now or state.since_start)
    advice = "under-voltage wants a better supply or cable, the others cooling"
    return finding("throttling", "; ".join(words), bad=slowed, severe=False, advice=advice)


def _cameras(root: Path) -> Finding:
    found = sorted((root / "dev").glob("video[0-9]*"))
    closed = [path.name for path in found if not os.access(path, os.R_OK | os.W_OK)]
    words = ", ".join(path.name for path in found) or "no /dev/video*"
    return finding(
        "cameras",
        words + (f"; this user may not use {', '.join(closed)}" if closed else ""),
        bad=bool(closed),
        severe=False,
        advice="add the user to the group video: usermod -aG video USER",
    )
