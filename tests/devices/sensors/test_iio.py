from isthmus.devices.sensors import iio

FOLDER = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"


def test_the_rails_of_a_jetson_nano_are_found(tree):
    rails = {0: ("POM_5V_IN", 2850), 1: ("POM_5V_GPU", 120), 2: ("POM_5V_CPU", 700)}
    files = {f"{FOLDER}/rail_name_{number}": name for number, (name, _) in rails.items()}
    files |= {f"{FOLDER}/in_power{number}_input": power for number, (_, power) in rails.items()}
    found = iio.find(tree(files))
    assert [(sensor.name, sensor.scope, sensor.read()) for sensor in found.sensors] == [
        ("ina3221 POM_5V_IN", "board", 2.85),
        ("ina3221 POM_5V_GPU", "rail", 0.12),
        ("ina3221 POM_5V_CPU", "rail", 0.7),
    ]


def test_a_rail_without_a_power_is_a_problem(tree):
    found = iio.find(tree({f"{FOLDER}/rail_name_0": "POM_5V_IN"}))
    assert (found.sensors, found.problems[0].sensor) == ((), "iio POM_5V_IN")
