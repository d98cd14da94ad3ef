"""Batteries and mains, below /sys/class/power_supply (kernel documentation, ABI/testing/sysfs-class-power)."""

from functools import partial
from pathlib import Path

from isthmus.devices.sensors import file
from isthmus.devices.sensors.power import Found, PowerSensor
from isthmus.errors import DeviceError

RATE_MAX_HZ = 1.0
"""Chips in batteries average over one to some ten seconds."""


def batteries(root: Path = Path("/")) -> list[Path]:
    """Folders of the machine's own batteries; those of mice and the like do not count."""
    return [
        folder
        for folder in sorted((root / "sys/class/power_supply").glob("*"))
        if file.text(folder / "type") == "Battery" and file.text(folder / "scope") != "Device"
    ]


def share(battery: Path) -> float | None:
    """Charge, 0 to 1: from a percentage, or energy or charge now and full in the same unit."""
    percent = file.number(battery / "capacity")
    if percent is not None:
        return min(1.0, max(0.0, percent / 100))
    for kind in ("energy", "charge"):
        now, full = file.number(battery / f"{kind}_now"), file.number(battery / f"{kind}_full")
        if now is not None and full:
            return min(1.0, max(0.0, now / full))
    return None


def is_discharging(battery: Path) -> bool:
    """Whether it is being emptied."""
    return file.text(battery / "status") == "Discharging"


def find(root: Path = Path("/")) -> Found:
    """Batteries that are being emptied and tell their power: only then is it what the machine takes."""
    found = Found()
    for battery in batteries(root):
        try:
            _watts(battery)
        except DeviceError:
            # Many tell a charge only, and one that is being charged tells what goes in.
            continue
        sensor = PowerSensor(
            source="battery",
            name=battery.name,
            scope="board",
            quantity="power",
            read=partial(_watts, battery),
            rate_max_hz=RATE_MAX_HZ,
            place=str(battery),
        )
        found += Found(sensors=(sensor,))
    return found


def _watts(battery: Path) -> float:
    """Microwatts, or microamperes times microvolts; some drivers give what flows out a sign."""
    if not is_discharging(battery):
        raise DeviceError(f"{battery} is not being emptied; what it tells is not what the machine takes")
    if (battery / "power_now").exists():
        return abs(file.read_number(battery / "power_now")) / 1e6
    return abs(file.read_number(battery / "current_now")) * file.read_number(battery / "voltage_now") / 1e12
