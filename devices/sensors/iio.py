"""The INA3221 of a Jetson Nano as NVIDIA's own kernel (L4T 32, JetPack 4) shows it: an iio device in place of hwmon.

`rail_name_<n>` beside `in_power<n>_input` in milliwatts, n from 0. The model with 2 GB has no such chip.
"""

from functools import partial
from pathlib import Path

from isthmus.devices.sensors import file
from isthmus.devices.sensors.power import BOARD_RAILS, Found, PowerSensor, Problem
from isthmus.errors import DeviceError

RATE_MAX_HZ = 50.0
"""NVIDIA's driver reads both registers over I2C each time it is asked, some milliseconds a rail."""
_PATTERN = "sys/bus/i2c/drivers/ina3221x/*/iio*/rail_name_[0-9]"


def find(root: Path = Path("/")) -> Found:
    """Look for rails, each of which is read once."""
    found = Found()
    for label in sorted(root.glob(_PATTERN)):
        found += _rail(label)
    return found


def _rail(label: Path) -> Found:
    name = file.text(label) or label.name
    path = label.with_name(f"in_power{label.name.removeprefix('rail_name_')}_input")
    try:
        file.read_number(path)
    except DeviceError as error:
        return Found(problems=(Problem(sensor=f"iio {name}", why=str(error), advice="it is left out"),))
    sensor = PowerSensor(
        source="iio",
        name=f"ina3221 {name}",
        scope="board" if name in BOARD_RAILS else "rail",
        quantity="power",
        read=partial(_watts, path),
        rate_max_hz=RATE_MAX_HZ,
        place=str(path),
    )
    return Found(sensors=(sensor,))


def _watts(path: Path) -> float:
    return file.read_number(path) / 1e3
