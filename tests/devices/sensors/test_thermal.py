from isthmus.devices.sensors import thermal


def zone(number, kind, temperature):
    folder = f"sys/class/thermal/thermal_zone{number}"
    return {f"{folder}/type": kind, f"{folder}/temp": temperature}


def test_zones_carry_their_types(tree):
    [found] = thermal.zones(tree(zone(0, "cpu-thermal", 48312)))
    assert (found.name, found.kind, found.temperature_c) == ("thermal_zone0", "cpu-thermal", 48.312)


def test_the_zone_of_a_jetson_nano_that_always_says_100_degrees_does_not_count(tree):
    assert thermal.hottest_c(tree(zone(0, "CPU-therm", 41000) | zone(4, "PMIC-Die", 100000))) == 41.0


def test_a_zone_whose_sensor_sleeps_is_left_out(tree):
    assert thermal.zones(tree({"sys/class/thermal/thermal_zone0/type": "x"})) == ()
