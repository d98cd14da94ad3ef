"""Who uses the processor: the whole machine (proc(5), /proc/stat and /proc/loadavg) and this program with what it started."""

import os
from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.sensors import file
from isthmus.errors import DeviceError

_IDLE, _WAITING, _STOLEN = 3, 4, 7
"""Columns of `cpu` in /proc/stat after its name: user, nice, system, idle, iowait, irq, softirq, steal; guest is in user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Seconds of processor time since the start, of all cores together.

    Attributes:
        total_s: all there was.
        busy_s: used by anybody here.
        stolen_s: wanted here and given to another virtual machine.
        own_s: used by this process, its children, and theirs.
        average: runnable tasks, mean of a minute; None where the kernel does not say.
    """

    total_s: float
    busy_s: float
    stolen_s: float
    own_s: float
    average: float | None


def look(root: Path = Path("/"), *, pid: int | None = None) -> Load | None:
    """Read it; None where there is no /proc/stat.

    Args:
        root: where `proc` is mounted.
        pid: the first process of the program that counts as own; this one when None.
    """
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    words = (file.text(root / "proc/stat") or "").partition("\n")[0].split()
    if not words or words[0] != "cpu" or not all(word.isdecimal() for word in words[1:]) or len(words) < _STOLEN + 2:
        return None
    ticks = [int(word) for word in words[1 : _STOLEN + 2]]
    busy = sum(ticks) - ticks[_IDLE] - ticks[_WAITING] - ticks[_STOLEN]
    return Load(
        total_s=sum(ticks) / ticks_per_s,
        busy_s=busy / ticks_per_s,
        stolen_s=ticks[_STOLEN] / ticks_per_s,
        own_s=_own_ticks(root, os.getpid() if pid is None else pid) / ticks_per_s,
        average=_average(root),
    )


def others_share(before: Load, after: Load) -> float:
    """Part of the machine's processor time between two looks that others took, stolen time included; 0 to 1."""
    total = after.total_s - before.total_s
    if total <= 0:
        return 0.0
    others = (after.busy_s - before.busy_s) - (after.own_s - before.own_s) + (after.stolen_s - before.stolen_s)
    return min(1.0, max(0.0, others / total))


def _own_ticks(root: Path, first: int) -> int:
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for folder in (root / "proc").glob("[0-9]*"):
        try:
            # The name in brackets may hold anything, brackets too.
            words = file.read_text(folder / "stat").rpartition(")")[2].split()
            parents[int(folder.name)] = int(words[1])
            # utime, stime, and those of children that have ended and were waited for.
            used[int(folder.name)] = sum(map(int, words[11:15]))
        except (DeviceError, ValueError, IndexError):
            # It ended while we were reading.
            continue
    return sum(ticks for pid, ticks in used.items() if _descends(pid, first, parents))


def _descends(pid: int, first: int, parents: dict[int, int]) -> bool:
    seen: set[int] = set()
    while pid not in seen:
        if pid == first:
            return True
        seen.add(pid)
        pid = parents.get(pid, 0)
    return False


def _average(root: Path) -> float | None:
    try:
        return float((file.text(root / "proc/loadavg") or "").partition(" ")[0])
    except ValueError:
        return None
