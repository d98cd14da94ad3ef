"""Thermal zones, below /sys/class/thermal (kernel documentation, driver-api/thermal/sysfs-api: millidegrees)."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.sensors import file

_PLAUSIBLE_C = (-40.0, 150.0)
"""Some drivers report a constant or nonsense where no sensor is wired."""
_CONSTANT = frozenset({"PMIC-Die"})
"""Types of zones that always say the same: on a Jetson Nano this one stands at 100 degrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One zone: its folder's name, the type its driver gives it, and degrees Celsius."""

    name: str
    kind: str
    temperature_c: float


def zones(root: Path = Path("/")) -> tuple[Zone, ...]:
    """All zones that tell something plausible."""
    found = []
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = file.number(folder / "temp")
        kind = file.text(folder / "type") or "unknown"
        if value is not None and kind not in _CONSTANT and _PLAUSIBLE_C[0] <= value / 1000 <= _PLAUSIBLE_C[1]:
            found.append(Zone(name=folder.name, kind=kind, temperature_c=value / 1000))
    return tuple(found)


def hottest_c(root: Path = Path("/")) -> float | None:
    """Of all zones; None where there is none."""
    return max((zone.temperature_c for zone in zones(root)), default=None)
