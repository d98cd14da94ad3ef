import pytest

from isthmus.devices.sensors.readings import Readings, read


def battery(name, **facts):
    return {f"sys/class/power_supply/{name}/{key}": value for key, value in {"type": "Battery", **facts}.items()}


def test_the_hottest_zone_counts_and_nonsense_does_not(tree):
    zones = {"0": 48312, "1": 61000, "2": -273000, "3": 300000, "4": "x"}
    assert (
        read(tree({f"sys/class/thermal/thermal_zone{zone}/temp": value for zone, value in zones.items()})).temperature_c == 61.0
    )


@pytest.mark.parametrize(
    ("facts", "share"),
    [
        ({"capacity": 57}, 0.57),
        ({"capacity": 103}, 1.0),
        ({"energy_now": 30000000, "energy_full": 40000000}, 0.75),
        ({"charge_now": 1000, "charge_full": 4000}, 0.25),
        ({"charge_now": 1000, "charge_full": 0}, None),
        ({}, None),
    ],
)
def test_the_charge_is_read_in_whatever_way_it_is_told(tree, facts, share):
    assert read(tree(battery("BAT0", **facts))).battery_share == share


def test_the_emptiest_battery_counts_and_that_of_a_mouse_does_not(tree):
    files = battery("BAT0", capacity=80, status="Full") | battery("BAT1", capacity=30, status="Discharging")
    files |= battery("mouse", capacity=3, scope="Device", status="Discharging") | {"sys/class/power_supply/AC/type": "Mains"}
    assert read(tree(files)) == Readings(battery_share=0.3, discharging=True)


def test_a_machine_without_sensors_says_nothing(tmp_path):
    assert read(tmp_path) == Readings()


def test_this_machine_can_be_read():
    assert isinstance(read(), Readings)
