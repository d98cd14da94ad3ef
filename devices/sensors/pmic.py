"""The power management chip of a Raspberry Pi 5: `vcgencmd pmic_read_adc`.

Lines such as `VDD_CORE_A current(7)=1.05264500A` and `VDD_CORE_V volt(15)=0.75006370V`; the number in brackets is the channel,
and older firmware leaves it out. Power is the sum over the rails that have both. That is less than what the board takes: the
regulators' own loss, USB and what hangs at the 5 V pins do not pass these rails.
"""

import re
from functools import partial
from pathlib import Path

from isthmus.devices.sensors import vcgencmd
from isthmus.devices.sensors.power import Found, PowerSensor, Problem
from isthmus.errors import DeviceError

RATE_MAX_HZ = 10.0
"""A process for each look."""
_QUESTION = "pmic_read_adc"
_LINE = re.compile(r"^\s*(\w+)_([AV])(?:\s+\w+\(\d+\))?=(-?\d+(?:\.\d+)?)[AV]\s*$", re.MULTILINE)


def parse(text: str) -> dict[str, float]:
    r"""Power of each rail that has a current and a voltage; other lines are passed over.

    >>> parse("VDD_CORE_A current(7)=2.0A\nVDD_CORE_V volt(15)=0.75V\nEXT5V_V volt(24)=5.1V\nnoise")
    {'VDD_CORE': 1.5}

    Raises:
        DeviceError: there is no such rail.
    """
    values = {(rail, unit): float(value) for rail, unit, value in _LINE.findall(text)}
    rails = {rail: value * values[rail, "V"] for (rail, unit), value in values.items() if unit == "A" and (rail, "V") in values}
    if not rails:
        raise DeviceError(f"vcgencmd {_QUESTION} says {text.strip()[:60]!r}, in which no rail has current and voltage")
    return rails


def find(root: Path = Path("/")) -> Found:
    """Ask once, where there is a `vcgencmd`. Boards before the Pi 5 have it too, without this question; they are passed over."""
    if not vcgencmd.is_there(root):
        return Found()
    try:
        answer = vcgencmd.ask(_QUESTION, root=root)
        if "not registered" in answer:
            return Found()
        rails = parse(answer)
    except DeviceError as error:
        problem = Problem(sensor="pmic", why=str(error), advice="only a Raspberry Pi 5 measures its rails; update its firmware")
        return Found(problems=(problem,))
    sensor = PowerSensor(
        source="pmic",
        name=f"sum of {len(rails)} rails",
        scope="rail",
        quantity="power",
        read=partial(_watts, root, frozenset(rails)),
        rate_max_hz=RATE_MAX_HZ,
        place=f"vcgencmd {_QUESTION}",
    )
    return Found(sensors=(sensor,))


def _watts(root: Path, expected: frozenset[str]) -> float:
    rails = parse(vcgencmd.ask(_QUESTION, root=root))
    if missing := expected - rails.keys():
        # A sum over fewer rails would look like less power.
        raise DeviceError(f"vcgencmd {_QUESTION} did not tell {', '.join(sorted(missing))} this time")
    return sum(rails[rail] for rail in expected)
