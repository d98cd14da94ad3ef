import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import QuotaExceeded
from isthmus.tail.admission.client import Client
from isthmus.tail.admission.limits import ClientLimits


class Stream:
    credits = 0

    def credit(self):
        self.credits += 1


@pytest.fixture
def make(time):
    return lambda **limits: Client("a", ClientLimits(**limits), clock=time, later=time.later)


def ask(client, stream, count):
    for _ in range(count):
        client.ask(stream)


def test_without_limits_every_credit_is_given_at_once(make):
    client, stream = make(), Stream()
    ask(client, stream, 1000)
    client.spend(1 << 40)
    client.admit(1 << 40)
    assert (stream.credits, client.delayed, client.is_idle) == (1000, 0, True)


def test_credits_beyond_the_burst_come_at_the_rate(make, time):
    client, stream = make(rate_per_s=10, burst=2), Stream()
    ask(client, stream, 5)
    assert stream.credits == 2
    time.pass_s(0.101)
    assert stream.credits == 3
    time.pass_s(0.2)
    assert (stream.credits, client.delayed) == (5, 3)


def test_streams_of_one_client_get_credits_in_the_order_they_asked(make, time):
    client, one, two = make(rate_per_s=10, burst=1), Stream(), Stream()
    ask(client, one, 2)
    ask(client, two, 1)
    ask(client, one, 1)
    time.pass_s(0.201)
    assert (one.credits, two.credits) == (2, 1)


def test_a_stream_that_ended_gets_no_credit_and_costs_none(make, time):
    client, gone, stays = make(rate_per_s=10, burst=1), Stream(), Stream()
    ask(client, gone, 30)
    client.ask(stays)
    client.forget(gone)
    time.pass_s(0.101)
    assert (gone.credits, stays.credits) == (1, 1)


def test_bytes_are_paid_after_they_came(make, time):
    client, stream = make(bytes_per_s=1000), Stream()
    ask(client, stream, 1)
    client.spend(3000)
    ask(client, stream, 1)
    time.pass_s(1.9)
    assert stream.credits == 1
    time.pass_s(0.2)
    assert stream.credits == 2


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=60), st.integers(1, 50), st.integers(1, 5))
def test_a_stream_gets_what_the_rate_gives_and_never_waits_longer(new_time, gaps, rate, burst):
    time, stream = new_time(), Stream()
    client = Client("a", ClientLimits(rate_per_s=rate, burst=burst), clock=time, later=time.later)
    begun = time.now
    for gap in gaps:
        time.pass_s(gap)
        client.ask(stream)
        assert stream.credits <= burst + rate * (time.now - begun) + 1e-6
    time.pass_s(len(gaps) / rate + 0.01 * len(gaps))
    assert stream.credits == len(gaps)


def test_a_call_that_is_too_early_is_told_when_to_come_back(make, time):
    client = make(rate_per_s=4, burst=1)
    client.admit(0)
    with pytest.raises(QuotaExceeded, match="sends more than it may; try again in 250 ms") as caught:
        client.admit(0)
    time.pass_s(caught.value.retry_after_ms / 1000)
    client.admit(0)


def test_a_call_does_not_overtake_streams_that_wait(make, time):
    client, stream = make(rate_per_s=10, burst=1), Stream()
    ask(client, stream, 2)
    time.now += 1  # the timer is late
    with pytest.raises(QuotaExceeded):
        client.admit(0)


def test_frames_in_flight_are_bounded_over_all_streams(make):
    client = make(in_flight=2)
    client.in_flight = 2
    client.check_in_flight()
    with pytest.raises(QuotaExceeded, match="3 frames unanswered, 2 are allowed"):
        client.admit(0)
    assert client.in_flight == 2


def test_streams_are_bounded_and_counted_off(make):
    client = make(streams=1)
    client.open_stream()
    with pytest.raises(QuotaExceeded, match="has 1 streams, 1 are allowed") as caught:
        client.open_stream()
    assert caught.value.retry_after_ms == 1000
    client.close_stream()
    client.open_stream()
