"""Every power sensor of the machine, of whatever kind."""

from pathlib import Path

from isthmus.devices.sensors import hwmon, iio, pmic, rapl, supply
from isthmus.devices.sensors.power import Found


def find(root: Path = Path("/")) -> Found:
    """Look for all kinds. Sensors come and go: look again for those that were plugged in since."""
    found = Found()
    for kind in (rapl, hwmon, iio, pmic, supply):
        found += kind.find(root)
    return found
