"""Whether the hardware slowed itself down: for heat, or for want of voltage.

A Raspberry Pi answers `get_throttled` with bits: 0 under-voltage, 1 clock capped, 2 throttled, 3 soft temperature limit; the same
from 16 on for "has been so since the start" (Raspberry Pi documentation, vcgencmd). Its kernel shows the word as a file too.
Intel counts events of each core and package below `thermal_throttle` (kernel source, arch/x86/kernel/cpu, therm_throt).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.sensors import file, vcgencmd
from isthmus.errors import DeviceError

_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_COUNTERS = "sys/devices/system/cpu"
_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_START = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """One look.

    Attributes:
        now: what slows the machine at this moment, in words.
        since_start: what has slowed it since it was switched on, in words.
        events: counted since the start; None where nothing counts.
    """

    now: tuple[str, ...] = ()
    since_start: tuple[str, ...] = ()
    events: int | None = None


def look(root: Path = Path("/")) -> Throttling | None:
    """What the machine tells; None where it tells nothing."""
    word = _firmware_word(root)
    events = _events(root)
    if word is None and events is None:
        return None
    return Throttling(now=_names(word or 0, 0), since_start=_names(word or 0, _SINCE_START), events=events)


def _firmware_word(root: Path) -> int | None:
    answer = file.text(root / _FIRMWARE)
    if answer is None and vcgencmd.is_there(root):
        try:
            answer = vcgencmd.ask("get_throttled", root=root)
        except DeviceError:
            return None
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", (answer or "").strip())
    return int(found[1], 16) if found else None


def _names(word: int, first: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _BITS.items() if word >> (first + bit) & 1)


def _events(root: Path) -> int | None:
    counts = [file.number(path) for path in (root / _COUNTERS).glob("cpu[0-9]*/thermal_throttle/*_throttle_count")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
