"""How the machine feels, in one look: temperature and battery. What is not there is None."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.devices.sensors import supply, thermal

HOT_C = 78.0
"""A Raspberry Pi slows its clock from 80 degrees on, most Jetsons from 95 on."""


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
    batteries = supply.batteries(root)
    shares = [share for share in map(supply.share, batteries) if share is not None]
    return Readings(
        temperature_c=thermal.hottest_c(root),
        battery_share=min(shares, default=None),
        discharging=any(map(supply.is_discharging, batteries)),
    )
