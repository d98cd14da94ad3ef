"""How the machine feels: temperature and battery, as Linux shows them below /sys.

The root is a parameter; tests give a fake tree. What is not there is None: a desktop has no battery, a virtual machine no zone.
"""

from dataclasses import dataclass
from pathlib import Path

HOT_C = 78.0
"""A Raspberry Pi slows its clock from 80 degrees on, most Jetsons from 95 on."""
_PLAUSIBLE_C = (-40.0, 150.0)
"""Some drivers report a constant or nonsense where no sensor is wired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One look at the sensors.

    Attributes:
        temperature_c: the hottest thermal zone, in degrees Celsius.
        battery_share: charge of the emptiest battery of the machine, 0 to 1; those of mice and the like do not count.
        discharging: whether a battery is being emptied.
    """

    temperature_c: float | None = None
    battery_share: float | None = None
    discharging: bool = False


def read(root: Path = Path("/")) -> Readings:
    """Look at the sensors; see `Readings`."""
    batteries = [
        folder for folder in _supplies(root) if _text(folder / "type") == "Battery" and _text(folder / "scope") != "Device"
    ]
    shares = [share for share in map(_share, batteries) if share is not None]
    return Readings(
        temperature_c=max(_temperatures_c(root), default=None),
        battery_share=min(shares, default=None),
        discharging=any(_text(folder / "status") == "Discharging" for folder in batteries),
    )


def _temperatures_c(root: Path) -> list[float]:
    """Kernel documentation, driver-api/thermal/sysfs-api: millidegrees."""
    found = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = _number(zone / "temp")
        if value is not None and _PLAUSIBLE_C[0] <= value / 1000 <= _PLAUSIBLE_C[1]:
            found.append(value / 1000)
    return found


def _supplies(root: Path) -> list[Path]:
    return sorted((root / "sys/class/power_supply").glob("*"))


def _share(battery: Path) -> float | None:
    """Kernel documentation, ABI/testing/sysfs-class-power: percent, or energy or charge now and full in the same unit."""
    percent = _number(battery / "capacity")
    if percent is not None:
        return min(1.0, max(0.0, percent / 100))
    for kind in ("energy", "charge"):
        now, full = _number(battery / f"{kind}_now"), _number(battery / f"{kind}_full")
        if now is not None and full:
            return min(1.0, max(0.0, now / full))
    return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        # A sensor may vanish, or refuse to be read while it sleeps.
        return None
