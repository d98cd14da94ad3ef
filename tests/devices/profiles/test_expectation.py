from isthmus.devices.profiles import catalog
from isthmus.devices.profiles.expectation import missing, scoped
from isthmus.devices.sensors.power import Found, PowerSensor, whole


def chip(name="ina219 channel 1"):
    return PowerSensor(source="hwmon", name=name, scope="rail", quantity="power", read=lambda: 1.0, rate_max_hz=100.0)


def test_a_chip_of_ones_own_counts_as_the_board_where_the_profile_says_so():
    rpi4 = catalog.load("rpi4")
    [expected] = rpi4.sensors.power
    own = rpi4.model_copy(
        update={"sensors": rpi4.sensors.model_copy(update={"power": (expected.model_copy(update={"scope": "board"}),)})}
    )
    found = Found(sensors=(chip(),))
    assert whole(found.sensors) == whole(scoped(found, rpi4).sensors) == whole(scoped(found, None).sensors) == ()
    assert [sensor.scope for sensor in whole(scoped(found, own).sensors)] == ["board"]


def test_what_a_profile_expects_is_told_with_advice_where_none_of_it_is_there():
    [problem] = missing(catalog.load("rpi5"), Found())
    assert (problem.sensor, "vcgencmd comes with" in problem.advice) == ("pmic power sensor", True)


def test_one_of_several_suffices():
    jetson = catalog.load("jetson-nano")
    assert len(list(missing(jetson, Found()))) == 2
    assert list(missing(jetson, Found(sensors=(chip("ina3221 VDD_IN"),)))) == []
