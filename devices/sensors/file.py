"""One value in one small file of /sys or /proc.

Sensors come and go: a driver is unloaded, a battery pulled, a chip asleep. Discovery wants None for what is not there, a meter
wants to know why. So there are two ways to read.
"""

import re
from pathlib import Path

from isthmus.errors import DeviceError

_MOST_BYTES = 4096
"""A page: no attribute of sysfs is longer (kernel documentation, filesystems/sysfs)."""

_NUMBER = re.compile(r"[+-]?\d{1,20}")
"""64 bits have at most 20 digits."""


def read_text(path: Path) -> str:
    """Read a file, stripped; bytes that are no ASCII become replacement characters.

    Raises:
        DeviceError: it is not there, may not be read by this user, or its driver refuses.
    """
    try:
        with path.open("rb", buffering=0) as file:
            raw = file.read(_MOST_BYTES) or b""
    except PermissionError as error:
        raise DeviceError(f"{path} may not be read by this user; {as_root(path)}") from error
    except FileNotFoundError as error:
        raise DeviceError(f"{path} is not there") from error
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror}") from error
    return raw.decode("ascii", errors="replace").strip("\0\n\t ")


def read_number(path: Path) -> int:
    """Read one integer.

    Raises:
        DeviceError: as `read_text`, or it holds something else.
    """
    found = read_text(path)
    if not _NUMBER.fullmatch(found):
        raise DeviceError(f"{path} says {found[:40]!r}, which is no number")
    return int(found)


def text(path: Path) -> str | None:
    """`read_text`, or None where that fails."""
    try:
        return read_text(path)
    except DeviceError:
        return None


def number(path: Path) -> int | None:
    """`read_number`, or None where that fails."""
    try:
        return read_number(path)
    except DeviceError:
        return None


def as_root(path: Path) -> str:
    """What a user may do about a file that only root reads."""
    return f"run as root, or `sudo chmod o+r {path}` until the next start of the machine"
