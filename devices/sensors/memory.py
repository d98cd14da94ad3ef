"""How much memory the machine has, and how much of it a program could still get (proc(5), /proc/meminfo)."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.sensors import file

_KIBIBYTE = 1024
"""The kernel writes "kB" and means 1024 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """In bytes; what the kernel does not tell is None."""

    total_bytes: int | None
    available_bytes: int | None
    swap_used_bytes: int | None


def look(root: Path = Path("/")) -> Memory:
    """Read it."""
    facts: dict[str, int] = {}
    for line in (file.text(root / "proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        amount, _, unit = value.strip().partition(" ")
        if amount.isdecimal() and unit == "kB":
            facts[name] = int(amount) * _KIBIBYTE
    swap, free = facts.get("SwapTotal"), facts.get("SwapFree")
    return Memory(
        total_bytes=facts.get("MemTotal"),
        available_bytes=facts.get("MemAvailable"),
        swap_used_bytes=None if swap is None or free is None else max(0, swap - free),
    )
