"""Energy counters of Intel and AMD processors (RAPL), as the kernel's powercap framework shows them.

A zone counts microjoules from 0 to `max_energy_range_uj` and starts anew (kernel documentation, power/powercap/powercap.rst). The
hardware adds to it about every millisecond (Intel Software Developer's Manual, RAPL interfaces). Since CVE-2020-8694 only root
reads it.
The memory-mapped zones (`intel-rapl-mmio`) count the same package again and are left out.
"""

from functools import partial
from pathlib import Path

from isthmus.devices.sensors import file
from isthmus.devices.sensors.power import Found, PowerSensor, Problem, Scope
from isthmus.errors import DeviceError

RATE_MAX_HZ = 1000.0
_FOLDER = "sys/class/powercap"


def find(root: Path = Path("/")) -> Found:
    """Look for zones, each of which is read once."""
    found = Found()
    for zone in sorted((root / _FOLDER).glob("intel-rapl:*")):
        found += _zone(zone)
    return found


def _zone(zone: Path) -> Found:
    name = file.text(zone / "name") or zone.name
    try:
        wraps_uj = file.read_number(zone / "max_energy_range_uj")
        file.read_number(zone / "energy_uj")
    except DeviceError as error:
        advice = file.as_root(zone / "energy_uj") if isinstance(error.__cause__, PermissionError) else "it is left out"
        return Found(problems=(Problem(sensor=f"rapl {name}", why=str(error), advice=advice),))
    if wraps_uj <= 0:
        why = f"{zone / 'max_energy_range_uj'} says {wraps_uj}; a counter that wraps after nothing cannot be summed"
        return Found(problems=(Problem(sensor=f"rapl {name}", why=why, advice="it is left out"),))
    sensor = PowerSensor(
        source="rapl",
        name=name,
        scope=_scope(name),
        quantity="energy",
        read=partial(_joules, zone / "energy_uj"),
        rate_max_hz=RATE_MAX_HZ,
        wraps_j=wraps_uj / 1e6,
        place=str(zone / "energy_uj"),
    )
    return Found(sensors=(sensor,))


def _scope(name: str) -> Scope:
    if name == "psys":
        return "board"
    return "package" if name.startswith("package") else "part"


def _joules(path: Path) -> float:
    return file.read_number(path) / 1e6
