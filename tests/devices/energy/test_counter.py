import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.energy.counter import advanced_j, check_gap
from isthmus.errors import DeviceError

RANGE = st.floats(1.0, 1e6)


@given(wraps_j=RANGE, start=st.floats(0, 1, exclude_max=True), step=st.floats(0, 0.999))
def test_what_a_counter_went_on_by_is_found_whether_it_started_anew_or_not(wraps_j, start, step):
    before_j = start * wraps_j
    now_j = (before_j + step * wraps_j) % wraps_j
    assert advanced_j(before_j, now_j, wraps_j=wraps_j) == pytest.approx(step * wraps_j, abs=1e-6 * wraps_j)


@given(wraps_j=RANGE, steps=st.lists(st.floats(0, 0.9), min_size=1, max_size=30))
def test_many_turns_add_up(wraps_j, steps):
    total_j = counted_j = 0.0
    for step in steps:
        before_j, counted_j = counted_j, (counted_j + step * wraps_j) % wraps_j
        total_j += advanced_j(before_j, counted_j, wraps_j=wraps_j)
    assert total_j == pytest.approx(sum(steps) * wraps_j, abs=1e-6 * wraps_j)


@pytest.mark.parametrize(("before_j", "now_j"), [(-1.0, 5.0), (5.0, 101.0), (101.0, 5.0)])
def test_a_reading_outside_of_the_range_is_a_device_error(before_j, now_j):
    with pytest.raises(DeviceError, match="should start anew at 100 J"):
        advanced_j(before_j, now_j, wraps_j=100.0)


def test_a_counter_that_was_set_back_does_not_look_like_power():
    with pytest.raises(DeviceError, match="it was set back"):
        check_gap(0.01, advanced_j(500.0, 0.0, wraps_j=65_000.0), wraps_j=65_000.0)


def test_a_gap_in_which_it_could_have_turned_unseen_is_a_device_error():
    check_gap(30.0, 100.0, wraps_j=65_000.0)
    with pytest.raises(DeviceError, match="may have done so unseen"):
        check_gap(40.0, 100.0, wraps_j=65_000.0)
