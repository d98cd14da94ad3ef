import pytest

from isthmus.devices.sensors import supply
from isthmus.errors import DeviceError


def battery(**facts):
    return {f"sys/class/power_supply/BAT0/{name}": value for name, value in {"type": "Battery", **facts}.items()}


@pytest.mark.parametrize(
    "facts",
    [
        {"power_now": 7_500_000},
        {"current_now": 500_000, "voltage_now": 15_000_000},
        {"current_now": -500_000, "voltage_now": 15_000_000},
    ],
)
def test_a_battery_that_is_emptied_tells_what_the_machine_takes(tree, facts):
    [sensor] = supply.find(tree(battery(status="Discharging", **facts))).sensors
    assert (sensor.scope, sensor.read()) == ("board", 7.5)


@pytest.mark.parametrize("facts", [{"status": "Charging", "power_now": 1}, {"status": "Discharging", "capacity": 50}, {}])
def test_one_that_is_charged_or_tells_no_power_is_no_sensor(tree, facts):
    assert supply.find(tree(battery(**facts))).sensors == ()


def test_the_plug_in_the_middle_of_a_measurement_is_a_device_error(tree):
    [sensor] = supply.find(tree(battery(status="Discharging", power_now=1))).sensors
    tree(battery(status="Charging"))
    with pytest.raises(DeviceError, match="not being emptied"):
        sensor.read()
