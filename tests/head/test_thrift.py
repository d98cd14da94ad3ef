import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from isthmus.devices import sensors
from isthmus.devices.sensors import Readings
from isthmus.errors import ConfigError
from isthmus.head.thrift import Thrift, ThriftSettings


class Device:
    """Sensors that say what the test sets."""

    def __init__(self, **readings):
        self.readings = Readings(**readings)

    def __call__(self):
        return self.readings

    def thrift(self, **settings):
        return Thrift(ThriftSettings(hot_c=80.0, cooled_c=5.0, battery_low_share=0.2, **settings), self)

    def feel(self, thrift, **readings):
        self.readings = Readings(**readings)
        thrift.look()
        return thrift.steps


def share_taken(thrift):
    return sum(thrift.takes() for _ in range(80)) / 80


def test_heat_halves_the_frames_step_by_step_and_gives_them_back_when_it_has_cooled():
    device = Device()
    thrift = device.thrift()
    felt_c = [70, 80, 85, 85, 85, 78, 76, 74, 74, 74]
    assert [device.feel(thrift, temperature_c=celsius) for celsius in felt_c] == [0, 1, 2, 3, 3, 3, 3, 2, 1, 0]


@given(steps=st.integers(0, 3))
def test_of_two_to_the_steps_frames_one_is_taken(steps):
    device = Device()
    thrift = device.thrift()
    for _ in range(steps):
        device.feel(thrift, temperature_c=90)
    assert share_taken(thrift) == 0.5**steps


@pytest.mark.parametrize(("share", "discharging", "steps"), [(0.5, True, 0), (0.19, True, 1), (0.09, True, 2), (0.05, False, 0)])
def test_a_battery_that_is_being_emptied_spares_frames(share, discharging, steps):
    device = Device()
    assert device.feel(device.thrift(), battery_share=share, discharging=discharging) == steps


def test_each_change_is_explained_in_the_log():
    device = Device()
    thrift = device.thrift()
    with capture_logs() as logs:
        device.feel(thrift, temperature_c=81.2, battery_share=0.5)
        device.feel(thrift, temperature_c=60, battery_share=0.5)
    assert [(entry["event"], entry["one_of"], entry["because"]) for entry in logs] == [
        ("fewer frames", 2, "81 degrees, battery at 50%"),
        ("more frames", 1, "60 degrees, battery at 50%"),
    ]


def test_a_device_without_sensors_takes_every_frame():
    thrift = Device().thrift()
    thrift.look()
    assert (share_taken(thrift), thrift.reason) == (1.0, "")


def test_the_sensors_of_a_tree_are_looked_at_while_it_is_open(tmp_path):
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("85000\n")
    looked = threading.Semaphore(0)

    def look():
        looked.release()
        return sensors.read(tmp_path)

    with Thrift(ThriftSettings(look_s=0.01), look) as thrift:
        assert all(looked.acquire(timeout=10) for _ in range(5))
        assert "85 degrees" in thrift.reason
    assert thrift.steps == 3


@pytest.mark.parametrize("wrong", [{"hot_c": 0.0}, {"hot_c": 200.0}, {"battery_low_share": 1.0}, {"battery_low_share": -0.1}])
def test_a_limit_out_of_range_is_a_config_error(wrong):
    with pytest.raises(ConfigError, match="has to be"):
        ThriftSettings(**wrong)
