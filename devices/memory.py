"""How much memory a process holds, as Linux counts it in `/proc/<pid>/status`."""

from pathlib import Path

from isthmus.errors import DeviceError

# proc(5): the kernel writes "kB" and means 1024 bytes.
KIBIBYTE = 1024


def resident_bytes(pid: int | None = None, *, root: Path = Path("/")) -> int:
    """Read the memory a process holds right now (VmRSS).

    Args:
        pid: the process; this one when None.
        root: where `proc` is mounted; tests give a fake tree.

    Returns:
        Resident bytes, shared pages included.

    Raises:
        DeviceError: there is no such process, it may not be read, or it has no memory of its own (kernel threads).
    """
    return _status_bytes("VmRSS", pid, root)


def peak_resident_bytes(pid: int | None = None, *, root: Path = Path("/")) -> int:
    """Read the most memory a process ever held (VmHWM); arguments and errors as for `resident_bytes`."""
    return _status_bytes("VmHWM", pid, root)


def _status_bytes(field: str, pid: int | None, root: Path) -> int:
    path = root / "proc" / ("self" if pid is None else str(pid)) / "status"
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as exc:
        raise DeviceError(f"cannot read {path}: {exc.strerror}; is the process running, and is this Linux?") from exc
    for line in lines:
        name, _, value = line.partition(":")
        if name == field:
            return _parse_kibibytes(value, field, path)
    raise DeviceError(f"{path} has no {field}: a kernel thread or a process that has ended")


def _parse_kibibytes(value: str, field: str, path: Path) -> int:
    amount, _, unit = value.strip().partition(" ")
    if not amount.isdecimal() or unit != "kB":
        raise DeviceError(f"{path} says {field} is {value.strip()!r}, not a number of kB")
    return int(amount) * KIBIBYTE
