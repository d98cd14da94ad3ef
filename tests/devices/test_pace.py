import pytest

from isthmus.devices.pace import cool_down, warm_up
from isthmus.devices.sensors.readings import Readings


def test_work_goes_on_until_its_times_settle():
    times = iter([9.0, 5.0, 2.0, 1.0, 1.0, 1.0, 1.01, 1.0, 0.99, 1.0])
    found = warm_up(lambda: next(times), most=10)
    assert (found.runs, found.settled) == (8, True)


def test_one_slow_answer_does_not_count_as_unsettled():
    times = iter([1.0, 1.0, 7.0, 1.0, 1.0, 1.0])
    assert warm_up(lambda: next(times)).runs == 6


def test_times_that_never_settle_are_given_up():
    times = iter(2.0**-index for index in range(20))
    found = warm_up(lambda: next(times), most=12)
    assert (found.runs, found.settled) == (12, False)


@pytest.mark.parametrize(("felt", "slept", "cool"), [([90, 80, 70, 60], 3, True), ([50], 0, True), ([None], 0, True)])
def test_a_warm_machine_is_waited_for(felt, slept, cool):
    looks, sleeps = iter(felt), []
    assert cool_down(below_c=68.0, look=lambda: Readings(temperature_c=next(looks)), sleep=sleeps.append) is cool
    assert len(sleeps) == slept


def test_one_that_does_not_cool_is_given_up():
    sleeps = []
    assert not cool_down(below_c=68.0, timeout_s=10.0, look=lambda: Readings(temperature_c=90.0), sleep=sleeps.append)
    assert sum(sleeps) == 10.0
