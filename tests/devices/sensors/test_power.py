import pytest

from isthmus.devices.sensors.power import PowerSensor, whole


def sensor(source, name, scope):
    return PowerSensor(source=source, name=name, scope=scope, quantity="power", read=lambda: 1.0, rate_max_hz=100.0)


PACKAGES = [sensor("rapl", "package-0", "package"), sensor("rapl", "package-1", "package")]
CORE, PSYS = sensor("rapl", "core", "part"), sensor("rapl", "psys", "board")
BOARD, RAIL = sensor("hwmon", "ina3221 VDD_IN", "board"), sensor("hwmon", "ina3221 VDD_SOC", "rail")
PMIC, BATTERY = sensor("pmic", "sum of 12 rails", "rail"), sensor("battery", "BAT0", "board")


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([CORE, *PACKAGES, PSYS], PACKAGES),
        ([RAIL, BOARD], [BOARD]),
        ([*PACKAGES, BATTERY], PACKAGES),
        ([PMIC], [PMIC]),
        ([BATTERY, CORE], [BATTERY]),
        ([PSYS, CORE], [PSYS]),
        ([RAIL, CORE], []),
    ],
)
def test_what_comes_nearest_to_the_machine_is_chosen_and_nothing_counts_twice(found, chosen):
    assert list(whole(found)) == chosen
