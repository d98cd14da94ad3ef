import heapq
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.lane import QUEUE_BYTES, DelayLine, Ending, Lane
from isthmus.devices.link import LinkProfile, parse
from isthmus.devices.rate_trace import RateTrace


class Call:
    def __init__(self, callback):
        self.callback = callback

    def cancel(self):
        self.callback = None


class HandClock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.now_s, self.late_s, self.calls, self.order = 0.0, 0.0, [], itertools.count()

    def time(self):
        return self.now_s

    def call_at(self, when, callback):
        call = Call(callback)
        heapq.heappush(self.calls, (when, next(self.order), call))
        return call

    def pass_until(self, end_s):
        while self.calls and self.calls[0][0] <= end_s:
            when, _, call = heapq.heappop(self.calls)
            self.now_s = max(self.now_s, when + self.late_s)
            if call.callback is not None:
                call.callback()
        self.now_s = max(self.now_s, end_s)


class Road:
    """A lane whose deliveries are written down as (time, what)."""

    def __init__(self, text="unlimited", profile=None):
        self.clock = HandClock()
        self.lane = Lane(self.clock, profile or parse(text), seed=1)
        self.arrived = []

    def line(self):
        return DelayLine(self.lane, lambda item: self.arrived.append((self.clock.now_s, item)))


def test_unlimited_bytes_arrive_at_once():
    road = Road()
    road.line().put(b"abc")
    assert road.arrived == [(0.0, b"abc")]


def test_one_segment_takes_its_bits_over_the_rate_and_half_the_round_trip():
    road = Road("1mbit/20ms")
    road.line().put(bytes(1000))
    road.clock.pass_until(1.0)
    assert road.arrived == [(pytest.approx(0.008 + 0.010), bytes(1000))]


def test_lines_share_one_bottleneck():
    road = Road("1mbit/0ms")
    first, second = road.line(), road.line()
    first.put(b"a" * 1000)
    second.put(b"b" * 1000)
    road.clock.pass_until(1.0)
    assert [when for when, _ in road.arrived] == [pytest.approx(0.008), pytest.approx(0.016)]


def test_an_idle_lane_saves_no_credit():
    road = Road("1mbit/0ms")
    road.clock.pass_until(10.0)
    road.line().put(bytes(1000))
    road.clock.pass_until(20.0)
    assert road.arrived[0][0] == pytest.approx(10.008)


def test_late_timers_do_not_add_up():
    road = Road("1mbit/20ms")
    road.clock.late_s = 0.001
    road.line().put(bytes(100 * 1448))
    road.clock.pass_until(2.0)
    exact_s = 100 * 1448 * 8e-6 + 0.010
    assert exact_s <= road.arrived[-1][0] <= exact_s + 0.001 + 1e-9


@given(
    st.lists(st.tuples(st.floats(0, 0.05), st.integers(1, 5000)), min_size=1, max_size=8),
    st.floats(1e5, 1e8),
    st.floats(0, 0.1),
    st.floats(0, 1),
)
def test_bytes_keep_their_order_and_are_never_too_early(writes, rate_bit_s, round_trip_s, jitter_share):
    profile = LinkProfile(rate_bit_s=rate_bit_s, round_trip_s=round_trip_s, jitter_s=round_trip_s * jitter_share)
    road = Road(profile=profile)
    line, sent = road.line(), b""
    for pause_s, size in writes:
        road.clock.pass_until(road.clock.now_s + pause_s)
        line.put(bytes([len(sent) % 251]) * size)
        sent += bytes([len(sent) % 251]) * size
    road.clock.pass_until(1e6)
    assert b"".join(item for _, item in road.arrived) == sent
    passed_bytes, earliest_s = 0, writes[0][0] + (round_trip_s - profile.jitter_s) / 2
    for when, item in road.arrived:
        passed_bytes += len(item)
        assert when >= earliest_s + passed_bytes * 8 / rate_bit_s - 1e-9
    assert (line.held_bytes, road.lane.passed_bytes) == (0, len(sent))


@given(st.integers(0, 1000))
def test_jitter_stays_within_half_of_it_each_way(seed):
    clock, arrived = HandClock(), []
    lane = Lane(clock, parse("unlimited/20ms/6ms"), seed=seed)
    DelayLine(lane, lambda _: arrived.append(clock.now_s)).put(b"x")
    clock.pass_until(1.0)
    assert 0.007 <= arrived[0] <= 0.013


def test_a_closed_lane_holds_what_waits_and_what_travels():
    road = Road("1mbit/20ms")
    line = road.line()
    line.put(b"a" * 1000 + b"b" * 1000)
    road.clock.pass_until(0.013)
    road.lane.set_open(False)
    road.clock.pass_until(5.0)
    assert (road.arrived, line.held_bytes) == ([], 2000)


def test_an_outage_is_no_credit_for_the_rate():
    road = Road("1mbit/0ms")
    road.lane.set_open(False)
    road.line().put(bytes(1000))
    road.clock.pass_until(5.0)
    road.lane.set_open(True)
    road.clock.pass_until(6.0)
    assert road.arrived[0][0] == pytest.approx(5.008)


def test_what_had_been_sent_before_an_outage_arrives_first():
    road = Road("1mbit/20ms")
    line = road.line()
    line.put(b"a" * 1000)
    road.clock.pass_until(0.009)
    road.lane.set_open(False)
    line.put(b"b" * 1000)
    road.clock.pass_until(5.0)
    road.lane.set_open(True)
    road.clock.pass_until(6.0)
    assert [(when, item[:1]) for when, item in road.arrived] == [(5.0, b"a"), (pytest.approx(5.018), b"b")]


def test_a_new_rate_holds_for_bytes_that_wait():
    road = Road("1kbit/0ms")
    road.line().put(bytes(1000))
    road.clock.pass_until(1.0)
    road.lane.set_profile(parse("1mbit/0ms"))
    assert road.arrived == [(1.0, bytes(1000))]


def test_a_shorter_delay_does_not_overtake():
    road = Road("unlimited/200ms")
    line = road.line()
    line.put(b"slow")
    road.lane.set_profile(parse("unlimited"))
    line.put(b"fast")
    road.clock.pass_until(1.0)
    assert road.arrived == [(0.1, b"slow"), (0.1, b"fast")]


@pytest.mark.parametrize("text", ["unlimited", "1mbit/20ms"])
@pytest.mark.parametrize("ending", list(Ending))
def test_an_ending_comes_after_the_bytes_before_it(text, ending):
    road = Road(text)
    line = road.line()
    line.put(bytes(3000))
    line.put(ending)
    road.clock.pass_until(1.0)
    assert [item for _, item in road.arrived][-1] is ending
    assert road.lane.passed_bytes == 3000


def test_a_line_that_closes_leaves_the_lane_to_others():
    road = Road("1mbit/0ms")
    gone, other = road.line(), road.line()
    gone.put(b"a" * 1000)
    other.put(b"b" * 1000)
    road.clock.pass_until(0.004)
    gone.close()
    road.clock.pass_until(1.0)
    assert road.arrived == [(pytest.approx(0.012), b"b" * 1000)]


def test_a_line_may_close_while_it_is_delivered_to():
    road = Road("unlimited")
    line = DelayLine(road.lane, lambda _: line.close())
    other = road.line()
    road.lane.set_open(False)
    line.put(b"a")
    line.put(b"b")
    other.put(b"c")
    road.lane.set_open(True)
    assert road.arrived == [(0.0, b"c")]


def test_a_line_that_closes_while_it_is_delivered_to_leaves_one_timer():
    road = Road("1mbit/0ms")
    line = DelayLine(road.lane, lambda _: line.close())
    line.put(bytes(3000))
    road.line().put(b"b" * 1000)
    road.clock.pass_until(0.012)
    assert len([call for _, _, call in road.clock.calls if call.callback is not None]) == 1
    road.clock.pass_until(1.0)
    assert road.arrived == [(pytest.approx(0.011584 + 0.008), b"b" * 1000)]


def test_a_line_may_hold_the_queue_and_what_travels():
    assert Road("8mbit/200ms").lane.limit_bytes == QUEUE_BYTES + 100_000
    assert Road("1mbit/0ms").lane.limit_bytes == QUEUE_BYTES


PAUSING = RateTrace.of_rates([(1, 8000), (9, 0)])
"""1000 bytes in the first second, then nothing for nine."""


def test_a_trace_is_followed_from_its_offset_on_and_looped():
    road = Road(profile=LinkProfile(trace=PAUSING, trace_offset_s=0.5, round_trip_s=0.2))
    road.line().put(bytes(1000))
    road.line().put(bytes(500))
    road.clock.pass_until(30.0)
    assert [when for when, _ in road.arrived] == [pytest.approx(10.0 + 0.1), pytest.approx(10.5 + 0.1)]


def test_a_trace_that_nobody_sent_on_saves_no_credit():
    road = Road(profile=LinkProfile(trace=PAUSING))
    road.clock.pass_until(0.9)
    road.line().put(bytes(1000))
    road.clock.pass_until(30.0)
    assert [when for when, _ in road.arrived] == [pytest.approx(10.9)]


def test_a_trace_begins_when_it_takes_effect_for_bytes_that_wait_too():
    road = Road("0.1kbit/0ms")
    road.line().put(bytes(1000))
    road.clock.pass_until(9.5)
    road.lane.set_profile(LinkProfile(trace=PAUSING))
    road.clock.pass_until(30.0)
    assert [when for when, _ in road.arrived] == [pytest.approx(10.5)]


def test_an_outage_stops_a_trace_that_goes_on_by_the_clock():
    road = Road(profile=LinkProfile(trace=PAUSING))
    road.lane.set_open(False)
    road.line().put(bytes(1000))
    road.clock.pass_until(0.5)
    road.lane.set_open(True)
    road.clock.pass_until(30.0)
    assert [when for when, _ in road.arrived] == [pytest.approx(10.5)]
