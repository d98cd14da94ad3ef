"""A slow device, emulated: one core of this machine that only gives a share of its time.

    python benchmarks/papers/slow_core.py CORE SHARE      slows the core until it is killed or whoever started it has ended

A control group's quota would be the usual means, but Linux enforces it at the timer's tick, a few milliseconds: work that is
shorter runs as if there were no quota, and longer work takes a time that hangs on when it began. A head, an encoder of pictures
and a send are as short as that, so that a quota would hide just what is compared. Here a real-time process takes the core away
for the rest of every few milliseconds instead.

What this is not: another instruction set, other caches, another memory. Everything is slower by one factor.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PERIOD_S = 0.004
"""Of the staircase: whoever wakes up waits for less than that. In much shorter periods the caches are cold most of the time, and
a network that lives on them is slowed by more than its share while short work is not."""
PRIORITY = 10
SHARE_LEAST, SHARE_MOST = 0.06, 0.95
"""The kernel gives real-time processes 95% of a core at most."""
LOOKS_EVERY = 200
"""Periods after which it looks whether who started it still lives."""


def core() -> int:
    """The one that is slowed: the last that this process may use."""
    return max(os.sched_getaffinity(0))


def others() -> set[int]:
    """Cores for everything that is not on the device."""
    return os.sched_getaffinity(0) - {core()}


def why_not() -> str:
    """Why no device can be emulated here, in words; empty where one can."""
    if not hasattr(os, "sched_setscheduler"):
        return "this system has no real-time scheduling as Linux has it"
    if len(os.sched_getaffinity(0)) < 2:
        return "there is but one core, and the server needs one that is not slowed"
    tried = [sys.executable, "-c", f"import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param({PRIORITY}))"]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        return "taking a core away needs the right to real-time scheduling (root, or CAP_SYS_NICE)"
    return ""


class SlowCore:
    """A core that gives a share of its time, within the `with` block.

    Args:
        core: which one.
        share: of its time, `SHARE_LEAST` to `SHARE_MOST`.

    Raises:
        ValueError: a share that cannot be kept.
        PermissionError: see `why_not`; by `with`.
    """

    def __init__(self, core: int, share: float) -> None:
        if not SHARE_LEAST <= share <= SHARE_MOST:
            raise ValueError(f"a core cannot give {share:.1%} of its time, only {SHARE_LEAST:.0%} to {SHARE_MOST:.0%}")
        self._arguments = [sys.executable, str(Path(__file__).resolve()), str(core), str(share)]
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self.__exit__(None, None, None)
            raise PermissionError(why_not() or "the core could not be taken")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def take_away(core: int, share: float) -> None:
    """Keep a core busy but for `share` of every period, until the parent has ended."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    print("taken", flush=True)
    clock, parent, begun = time.perf_counter, os.getppid(), time.perf_counter()
    while os.getppid() == parent:
        for _ in range(LOOKS_EVERY):
            end = begun + PERIOD_S * (1 - share)
            while clock() < end:
                pass
            begun = max(begun + PERIOD_S, clock())
            time.sleep(max(0.0, begun - clock()))


if __name__ == "__main__":
    take_away(int(sys.argv[1]), float(sys.argv[2]))
