"""How fast the cores run and who decides that, below /sys/devices/system/cpu (kernel documentation, admin-guide/pm/cpufreq)."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.sensors import file

_FOLDER = "sys/devices/system/cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Clock of one core in kHz; what the driver does not tell is None.

    Attributes:
        core: its number.
        governor: who chooses the clock, as `performance` or `ondemand`.
        now_khz: what it was set to when last looked at.
        limit_khz: what it may reach now; heat and power limits lower it.
        highest_khz: what the hardware can reach.
    """

    core: int
    governor: str | None
    now_khz: int | None
    limit_khz: int | None
    highest_khz: int | None


def clocks(root: Path = Path("/")) -> tuple[Clock, ...]:
    """Every core that has a clock driver, by number; virtual machines have none."""
    found = []
    for folder in (root / _FOLDER).glob("cpu[0-9]*/cpufreq"):
        core = folder.parent.name.removeprefix("cpu")
        if core.isdecimal():
            found.append(
                Clock(
                    core=int(core),
                    governor=file.text(folder / "scaling_governor") or None,
                    now_khz=file.number(folder / "scaling_cur_freq"),
                    limit_khz=file.number(folder / "scaling_max_freq"),
                    highest_khz=file.number(folder / "cpuinfo_max_freq"),
                )
            )
    return tuple(sorted(found, key=lambda clock: clock.core))
