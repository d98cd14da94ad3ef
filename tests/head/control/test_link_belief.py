import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.head.control.link_belief import LinkBelief

TRIP_S, SURE, NONE = 0.04, np.array([1e-4]), np.array([0.0])
AROUND_BYTES = 180
"""What the belief takes a capture and its answer to have around them."""


def chance(belief, size_bytes, within_s):
    return float(belief.in_time(np.array([float(size_bytes)]), np.array([within_s]), SURE, NONE)[0])


def exchange(belief, rate_bit_s, sizes, *, first_s=0.0, period_s=0.5):
    """One capture after the other on a link of one rate; the time of the last answer."""
    for number, size in enumerate(sizes):
        sent_s = first_s + number * period_s
        belief.sent(number, size, sent_s)
        network_s = TRIP_S + 8 * (size + AROUND_BYTES) / rate_bit_s
        belief.answered(number, network_s, sent_s + network_s)
    return sent_s + network_s


@settings(max_examples=25)
@given(st.floats(2e5, 1e7), st.lists(st.sampled_from([500, 2000, 8000, 30_000]), min_size=16, max_size=20))
def test_rate_and_round_trip_are_learned_of_payloads_of_different_sizes(rate_bit_s, sizes):
    belief = LinkBelief()
    exchange(belief, rate_bit_s, [500, 30_000, *sizes, 500, 30_000], period_s=2.0)
    needed_s = TRIP_S + 8 * (20_000 + AROUND_BYTES) / rate_bit_s
    assert chance(belief, 20_000, 2.0 * needed_s) > 0.85
    assert chance(belief, 20_000, 0.5 * needed_s) < 0.15


def test_small_payloads_leave_open_how_fast_a_fast_link_is():
    belief = LinkBelief()
    exchange(belief, 20e6, [300] * 30)
    low, high = belief.rates_bit_s()
    assert high > 8 * low
    assert chance(belief, 300, 0.1) > 0.95


@given(
    st.lists(
        st.tuples(st.sampled_from(["sent", "answered", "pass", "broken", "mended", "forget"]), st.floats(0, 5), st.integers(0, 5))
    )
)
def test_whatever_happens_chances_are_chances(events):
    belief, now_s = LinkBelief(), 0.0
    for number, (what, passed_s, which) in enumerate(events):
        now_s += passed_s
        if what == "sent":
            belief.sent(number, 1000.0 * which, now_s)
        elif what == "answered":
            belief.answered(max(0, number - which), passed_s, now_s)
        elif what == "forget":
            belief.forget(number - which)
        elif what == "pass":
            belief.pass_until(now_s)
        else:
            getattr(belief, what)(now_s)
        found = [chance(belief, size, 0.2) for size in (100, 1000, 10_000)]
        assert all(0 <= value <= 1 + 1e-6 for value in found)
        assert found == sorted(found, reverse=True)


def test_nothing_is_in_time_when_no_time_is_left():
    assert chance(LinkBelief(), 100, 0.0) == 0.0


def test_what_waits_at_the_bottleneck_delays_what_is_sent_behind_it():
    belief = LinkBelief()
    now_s = exchange(belief, 1e6, [2000, 8000] * 10)
    alone = chance(belief, 5000, 0.15)
    belief.sent(100, 20_000, now_s)
    assert chance(belief, 5000, 0.15) < 0.1 < 0.9 < alone
    belief.pass_until(now_s + 0.19)
    assert chance(belief, 5000, 0.15) > 0.5


def test_an_answer_means_that_what_was_sent_before_it_has_passed():
    belief = LinkBelief()
    now_s = exchange(belief, 1e6, [2000, 8000] * 10)
    belief.sent(100, 20_000, now_s)
    belief.sent(101, 100, now_s)
    belief.answered(101, 0.03, now_s + 0.03)
    assert chance(belief, 2000, 0.15) > 0.6


def test_silence_is_news():
    belief = LinkBelief()
    now_s = exchange(belief, 1e6, [2000, 8000] * 10)
    before = chance(belief, 500, 0.2)
    belief.sent(100, 500, now_s)
    for passed_s in (0.1, 0.2, 0.3, 0.5):
        belief.pass_until(now_s + passed_s)
    assert before > 0.95
    assert chance(belief, 500, 0.2) < 0.1
    assert belief.rates_bit_s()[0] == 0.0


def test_time_that_the_server_takes_is_no_silence():
    patient = LinkBelief()
    patient.server_s = 1.0
    now_s = exchange(patient, 1e6, [2000, 8000] * 10)
    patient.sent(100, 500, now_s)
    patient.pass_until(now_s + 0.5)
    assert patient.rates_bit_s()[0] > 0.0


def test_an_answer_after_an_outage_brings_back_what_is_usual():
    belief = LinkBelief()
    now_s = exchange(belief, 1e6, [2000, 8000] * 20)
    belief.sent(100, 500, now_s)
    for passed in range(1, 50):
        belief.pass_until(now_s + passed / 10)
    assert chance(belief, 500, 0.2) < 0.1
    belief.answered(100, 5.0, now_s + 5.0)
    assert chance(belief, 500, 0.2) > 0.6


def test_without_news_the_belief_widens():
    belief = LinkBelief()
    now_s = exchange(belief, 1e6, [2000, 8000] * 10)
    low, high = belief.rates_bit_s()
    belief.pass_until(now_s + 20)
    wide_low, wide_high = belief.rates_bit_s()
    assert wide_low < low
    assert wide_high > high


def test_payloads_sent_later_wait_for_what_is_sent_now():
    belief = LinkBelief()
    exchange(belief, 1e6, [2000, 8000] * 10)
    first, then = np.array([0.0, 30_000.0]), np.array([2000.0])
    after = belief.in_time_after(first, 0.1, then, np.array([0.15]), SURE, NONE)
    assert after.shape == (2, 1)
    assert after[1, 0] < 0.2 < 0.8 < after[0, 0]


def test_the_clock_of_an_answer_may_be_a_little_behind():
    belief = LinkBelief()
    belief.sent(0, 500, 10.0)
    belief.answered(0, 0.1, 9.9)
    belief.answered(0, 0.1, 9.9)
    assert belief.in_flight == 0


@pytest.mark.parametrize("size_bytes", [0, 1e9])
def test_absurd_sizes_are_no_error(size_bytes):
    belief = LinkBelief()
    belief.sent(0, size_bytes, 0.0)
    belief.answered(0, 1e-6, 0.1)
    assert 0 <= chance(belief, size_bytes, 0.1) <= 1
