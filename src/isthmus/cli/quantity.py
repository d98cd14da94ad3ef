"""Durations on the command line: 90s, 15m, 100ms."""

import re

from isthmus.errors import UsageError

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str, option: str) -> float:
    """Read a duration.

    >>> seconds("15m", "--budget"), seconds("100ms", "--deadline"), seconds("2.5", "--wait")
    (900.0, 0.1, 2.5)

    Raises:
        UsageError: it is not a positive number with one of the units us, ms, s, m, h.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)?", text.strip())
    if not found or float(found[1]) <= 0:
        raise UsageError(f"{option} {text!r} is not a duration; write for example 100ms, 90s or 15m")
    return float(found[1]) * _UNITS[found[2] or "s"]
