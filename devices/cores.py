"""Which cores a head runs on.

Boards with two kinds of cores (big.LITTLE) say so by their highest clock. A thread that the kernel moves to a slow core answers
two to three times later; pinned to the fast ones, it does not.
"""

import os
import re
from pathlib import Path

from isthmus.errors import ConfigError, DeviceError

_MAX_CLOCK = "cpufreq/cpuinfo_max_freq"
_ALIKE = 0.9
"""Cores within so much of the highest clock count as fast: boost clocks of equal cores differ by some percent."""


def fast_cores(root: Path = Path("/")) -> frozenset[int]:
    """The cores of the fastest kind: all of them where they are alike, none where the kernel does not say.

    Args:
        root: where `sys` lies; tests give a fake tree.
    """
    clocks_khz: dict[int, int] = {}
    for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*"):
        try:
            clocks_khz[int(folder.name.removeprefix("cpu"))] = int((folder / _MAX_CLOCK).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    highest = max(clocks_khz.values(), default=0)
    return frozenset(core for core, clock in clocks_khz.items() if clock >= _ALIKE * highest)


def parse_cores(text: str) -> frozenset[int]:
    """Read a list of cores.

    >>> sorted(parse_cores("0,2-4"))
    [0, 2, 3, 4]

    Raises:
        ConfigError: it is no such list.
    """
    cores: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise ConfigError(f"{text!r} is not a list of cores; write for example 2,3 or 4-7")
        cores |= set(range(int(found[1]), int(found[2] or found[1]) + 1))
    return frozenset(cores)


def pin(cores: frozenset[int]) -> frozenset[int]:
    """Keep this thread, and those that it starts from now on, on some cores.

    Returns:
        Those of `cores` that this process may use.

    Raises:
        DeviceError: it may use none of them.
    """
    allowed = os.sched_getaffinity(0)
    chosen = cores & allowed
    if not chosen:
        raise DeviceError(f"none of the cores {_spell(cores)} is there for this process; it has {_spell(allowed)}")
    os.sched_setaffinity(0, chosen)
    return frozenset(chosen)


def _spell(cores: frozenset[int] | set[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
