"""Durations, sizes and rates on the command line: 90s, 15m, 100ms; 500kB, 32MB; 100/s, 2MB/s."""

import re

from isthmus.errors import UsageError

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


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


def size_in_bytes(text: str, option: str) -> int:
    """Read a size.

    >>> size_in_bytes("32MB", "--evidence"), size_in_bytes("1.5KiB", "--evidence")
    (32000000, 1536)

    Raises:
        UsageError: it is not a positive number with one of the units B, kB, MB, GB, KiB, MiB, GiB.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text.strip())
    if not found or found[2] not in _BYTES or float(found[1]) <= 0:
        raise UsageError(f"{option} {text!r} is not a size; write for example 500kB or 32MB")
    return round(float(found[1]) * _BYTES[found[2]])


def rate_per_s(text: str, option: str) -> float:
    """Read how often.

    >>> rate_per_s("100/s", "--client-rate"), rate_per_s("90/m", "--client-rate")
    (100.0, 1.5)

    Raises:
        UsageError: it is not a positive number by one of the units s, m, h.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?/ ?(s|m|h)", text.strip())
    if not found or float(found[1]) <= 0:
        raise UsageError(f"{option} {text!r} is not a rate; write for example 100/s or 90/m")
    return float(found[1]) / _UNITS[found[2]]


def bytes_per_s(text: str, option: str) -> float:
    """Read how much in how long.

    >>> bytes_per_s("2MB/s", "--client-bytes"), bytes_per_s("60kB/m", "--client-bytes")
    (2000000.0, 1000.0)

    Raises:
        UsageError: it is not a size by one of the units s, m, h.
    """
    amount, _, unit = text.strip().rpartition("/")
    if unit.strip() not in ("s", "m", "h"):
        raise UsageError(f"{option} {text!r} is not a rate in bytes; write for example 2MB/s")
    return size_in_bytes(amount, option) / _UNITS[unit.strip()]
