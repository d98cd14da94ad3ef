import pytest

from isthmus.devices.sensors import hwmon
from isthmus.errors import DeviceError


def chip(number, name, **files):
    return {f"sys/class/hwmon/hwmon{number}/{key}": value for key, value in {"name": name, **files}.items()}


def rail(channel, label, millivolts, milliamperes):
    return {f"in{channel}_label": label, f"in{channel}_input": millivolts, f"curr{channel}_input": milliamperes}


def test_an_ina3221_gives_a_product_for_each_rail_and_knows_the_one_before_all_others(tree):
    files = chip(1, "ina3221", **rail(1, "VDD_IN", 5000, 1200), **rail(2, "VDD_CPU_GPU_CV", 5000, 400))
    found = hwmon.find(tree(files | chip(0, "acpitz", in1_input=1)))
    assert [(sensor.name, sensor.scope, sensor.read()) for sensor in found.sensors] == [
        ("ina3221 VDD_IN", "board", 6.0),
        ("ina3221 VDD_CPU_GPU_CV", "rail", 2.0),
    ]


def test_an_ina2xx_tells_its_power_and_its_pace(tree):
    [sensor] = hwmon.find(
        tree(chip(3, "ina219", power1_input=2_500_000, curr1_input=500, in1_input=5000, update_interval=69))
    ).sensors
    assert (sensor.name, sensor.scope, sensor.read()) == ("ina219 channel 1", "rail", 2.5)
    assert sensor.rate_max_hz == pytest.approx(1000 / 69)


def test_a_rail_that_is_switched_off_is_left_out(tree):
    assert hwmon.find(tree(chip(1, "ina3221", **rail(1, "VDD_IN", 5000, 0), in1_enable=0))).sensors == ()


def test_a_chip_that_refuses_or_says_nonsense_is_a_problem(tree):
    found = hwmon.find(tree(chip(1, "ina3221", **rail(1, "VDD_IN", "n/a", 1))))
    assert found.sensors == ()
    assert "'n/a'" in found.problems[0].why


def test_a_chip_that_is_unplugged_is_a_device_error(tree):
    root = tree(chip(1, "ina226", power1_input=1))
    [sensor] = hwmon.find(root).sensors
    (root / "sys/class/hwmon/hwmon1/power1_input").unlink()
    with pytest.raises(DeviceError, match="is not there"):
        sensor.read()
