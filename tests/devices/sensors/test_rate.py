import itertools

import pytest

from isthmus.devices.sensors import rate
from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError


def sensor(read):
    return PowerSensor(source="rapl", name="x", scope="package", quantity="power", read=read, rate_max_hz=1000.0)


def test_reads_and_new_values_are_told_apart():
    values, ticks = itertools.count(), itertools.count()
    found = rate.measure(sensor(lambda: next(values) // 4), seconds=1.0, clock=lambda: next(ticks) / 100)
    assert found.reads_hz == pytest.approx(100)
    assert found.new_hz == pytest.approx(24, abs=1)


def test_a_sensor_that_goes_away_has_no_rate():
    def gone():
        raise DeviceError("gone")

    assert rate.measure(sensor(gone)) is None
