import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.energy.trace import Trace
from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError


def counter(wraps_j=65_000.0):
    return PowerSensor(
        source="rapl", name="package-0", scope="package", quantity="energy", read=lambda: 0.0, rate_max_hz=1e3, wraps_j=wraps_j
    )


def power():
    return PowerSensor(source="hwmon", name="VDD_IN", scope="board", quantity="power", read=lambda: 0.0, rate_max_hz=1e2)


def filled(sensor, samples, *, rate_hz=10.0):
    trace = Trace([sensor], rate_hz=rate_hz)
    for time_s, reading in samples:
        trace.add(time_s, [reading])
    return trace


def test_a_counter_that_starts_anew_in_between_is_added_up():
    found = filled(counter(wraps_j=1000.0), [(0.0, 990.0), (0.1, 998.0), (0.2, 6.0), (0.3, 14.0)]).energy(0.0, 0.3)
    assert (found.joules, found.doubt_j, found.samples) == (pytest.approx(24.0), 0.0, 4)
    assert (found.source, found.scope) == ("rapl package-0", "package")


@given(watts=st.floats(0.1, 100), start=st.floats(0.01, 1), length=st.floats(0.5, 5))
def test_steady_power_is_found_by_both_kinds_of_sensor_within_their_doubt(watts, start, length):
    times = [index / 10 for index in range(70)]
    for sensor, reading in ((counter(), lambda time_s: watts * time_s), (power(), lambda _time_s: watts)):
        found = filled(sensor, [(time_s, reading(time_s)) for time_s in times]).energy(start, start + length)
        assert found.joules == pytest.approx(watts * length)
        assert abs(found.joules - watts * length) <= found.doubt_j + 1e-9


@given(st.floats(0.0, 1.0))
def test_a_burst_at_the_end_of_an_interval_is_within_the_doubt(when):
    # All of the 5 J between the samples at 1.0 and 1.1 s may have been taken at any moment between them.
    found = filled(counter(), [(0.9, 0.0), (1.0, 0.0), (1.1, 5.0), (1.2, 5.0)]).energy(0.95, 1.0 + 0.1 * (0.001 + 0.998 * when))
    assert found.joules - found.doubt_j <= 1e-9
    assert found.joules + found.doubt_j >= 5.0 - 1e-9


def test_a_gap_of_a_power_sensor_is_doubted_in_full_and_one_of_a_counter_is_not():
    times = [0.0, 0.1, 0.2, 1.2, 1.3, 1.4]
    of_power = filled(power(), [(time_s, 2.0) for time_s in times]).energy(0.0, 1.4)
    of_counter = filled(counter(), [(time_s, 2.0 * time_s) for time_s in times]).energy(0.0, 1.4)
    assert of_power.doubt_j == pytest.approx(2.0 * 1.0)
    assert (of_counter.joules, of_counter.doubt_j) == (pytest.approx(2.8), 0.0)


def test_a_chip_that_says_one_value_several_times_has_fewer_samples():
    samples = [(index / 100, float(index // 10)) for index in range(100)]
    found = filled(power(), samples, rate_hz=100.0).energy(0.0, 0.99)
    assert found.samples == 10
    assert found.rate_hz == pytest.approx(10 / 0.99)


def test_two_packages_are_added_up():
    trace = Trace([counter(), counter()], rate_hz=10.0)
    for index in range(11):
        trace.add(index / 10, [index * 1.0, index * 3.0])
    assert trace.energy(0.0, 1.0).joules == pytest.approx(40.0)


@pytest.mark.parametrize(("start", "end"), [(-0.1, 0.5), (0.5, 1.1), (0.5, 0.5), (0.6, 0.5)])
def test_an_interval_that_was_not_sampled_is_a_device_error(start, end):
    with pytest.raises(DeviceError, match=r"there are samples from 0\.000 to 1\.000 s"):
        filled(power(), [(0.0, 1.0), (1.0, 1.0)]).energy(start, end)


def test_nothing_is_known_without_samples():
    with pytest.raises(DeviceError, match="samples from none"):
        Trace([power()], rate_hz=1.0).energy(0.0, 1.0)


def test_a_reading_that_cannot_be_is_not_taken():
    trace = filled(counter(wraps_j=65_000.0), [(0.0, 500.0), (0.1, 500.2)])
    with pytest.raises(DeviceError, match="set back"):
        trace.add(0.2, [0.0])
    trace.add(0.3, [500.6])
    assert trace.energy(0.0, 0.3).joules == pytest.approx(0.6)
