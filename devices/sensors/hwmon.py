"""INA chips of Texas Instruments (INA219, INA226, INA3221 and kin) through the kernel's hwmon.

An INA2xx tells its power (`power1_input`, microwatts); an INA3221 tells voltage and current of three rails (`in<n>_input` in
millivolts, `curr<n>_input` in milliamperes) and the product is left to the reader (kernel documentation, hwmon/ina2xx.rst and
hwmon/ina3221.rst). Jetsons since JetPack 5 have the latter.
"""

from functools import partial
from pathlib import Path

from isthmus.devices.sensors import file
from isthmus.devices.sensors.power import BOARD_RAILS, Found, PowerSensor, Problem
from isthmus.errors import DeviceError

RATE_MAX_HZ = 100.0
"""I2C takes about a millisecond a value, and a conversion with the drivers' averaging some milliseconds; `update_interval`, where
a driver has it, says more."""
_FOLDER = "sys/class/hwmon"


def find(root: Path = Path("/")) -> Found:
    """Look for chips; every rail is read once."""
    found = Found()
    for chip in sorted((root / _FOLDER).glob("hwmon*")):
        name = file.text(chip / "name") or ""
        if name.startswith("ina"):
            for channel in (1, 2, 3):
                found += _channel(chip, name, channel)
    return found


def _channel(chip: Path, kind: str, channel: int) -> Found:
    label = file.text(chip / f"in{channel}_label") or ""
    power, volts, amperes = (chip / f"{what}{channel}_input" for what in ("power", "in", "curr"))
    if not power.exists() and not amperes.exists():
        return Found()
    if file.number(chip / f"in{channel}_enable") == 0:
        return Found()
    read = partial(_watts, power) if power.exists() else partial(_product_w, volts, amperes)
    name = f"{kind} {label or f'channel {channel}'}"
    try:
        read()
    except DeviceError as error:
        why = str(error)
        return Found(problems=(Problem(sensor=f"hwmon {name}", why=why, advice="look at the chip's driver and wiring"),))
    interval_ms = file.number(chip / "update_interval") or 0
    sensor = PowerSensor(
        source="hwmon",
        name=name,
        scope="board" if label in BOARD_RAILS else "rail",
        quantity="power",
        read=read,
        rate_max_hz=min(RATE_MAX_HZ, 1000 / interval_ms) if interval_ms > 0 else RATE_MAX_HZ,
        place=str(power if power.exists() else amperes),
    )
    return Found(sensors=(sensor,))


def _watts(path: Path) -> float:
    return file.read_number(path) / 1e6


def _product_w(volts: Path, amperes: Path) -> float:
    return file.read_number(volts) * file.read_number(amperes) / 1e6
