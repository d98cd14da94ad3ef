import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.tail.admission.pace import Pace


def test_a_burst_passes_at_once_and_then_one_at_a_time():
    pace = Pace(10, burst=3)
    for _ in range(3):
        assert pace.wait_s(5.0) == 0
        pace.spend(5.0)
    assert pace.wait_s(5.0) == pytest.approx(0.1)
    assert pace.wait_s(5.1) == 0


def test_what_is_too_much_at_once_passes_and_is_paid_afterwards():
    pace = Pace(1000, burst=1000)
    pace.spend(0.0, 5000)
    assert pace.wait_s(0.0) == pytest.approx(4.0, abs=0.01)
    assert not pace.is_full(4.9)
    assert pace.is_full(5.0)


def test_a_pause_is_saved_up_to_the_burst_only():
    pace = Pace(10, burst=2)
    passed = 0
    while not pace.wait_s(1000.0):
        pace.spend(1000.0)
        passed += 1
    assert passed == 2


@given(
    st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.floats(0, 0.5), max_size=200), st.floats(0, 1e6, allow_subnormal=False)
)
def test_no_stretch_of_time_gets_more_than_rate_and_burst(rate, burst, gaps, start):
    pace, now, passed = Pace(rate, burst), start, []
    for gap in gaps:
        now += gap
        if not pace.wait_s(now):
            pace.spend(now)
            passed.append(now)
    for first, begun in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - begun) + 1e-3


@given(st.floats(0.1, 1000), st.integers(1, 50), st.integers(1, 200))
def test_whoever_waits_as_told_is_never_told_to_wait_again(rate, burst, count):
    pace, now = Pace(rate, burst), 0.0
    for _ in range(count):
        now += pace.wait_s(now)
        assert pace.wait_s(now) == 0
        pace.spend(now)
    assert now == pytest.approx(max(0, count - burst) / rate, abs=1e-6)
