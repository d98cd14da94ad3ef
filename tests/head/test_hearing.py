import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.head.hearing import Hearing, Patience

PATIENCE = Patience(echo_s=0.5, silent_s=1.5, round_trips=4.0, slowest_byte_s=0.001, answer_s=15.0)


@pytest.fixture
def hearing():
    """Of a stream opened at second 0."""
    return Hearing(PATIENCE, 0.0)


def test_a_stream_on_which_nothing_is_under_way_may_be_silent(hearing):
    assert (hearing.silent_s(1e6), hearing.unanswered_s(1e6), hearing.wants_echo(1e6)) == (0.0, 0.0, False)


def test_silence_counts_from_the_first_capture_under_way(hearing):
    hearing.sent(0, 0, 100.0)
    hearing.sent(1, 0, 101.0)
    assert hearing.silent_s(101.5) == 0.0
    assert hearing.silent_s(101.6) == pytest.approx(1.6)


@pytest.mark.parametrize(
    "sound",
    [lambda it: it.heard(101.0), lambda it: it.echoed(0.01, 101.0), lambda it: it.answered(0, 101.0)],
    ids=["message", "echo", "answer"],
)
def test_any_sound_ends_the_silence(hearing, sound):
    hearing.sent(0, 0, 100.0)
    hearing.sent(1, 0, 100.0)
    sound(hearing)
    assert (hearing.silent_s(102.4), hearing.silent_s(102.6) > 0) == (0.0, True)


@pytest.mark.parametrize(
    "sound",
    [lambda it: it.heard(102.0), lambda it: it.answered(0, 102.0), lambda it: it.sent(1, 0, 102.0)],
    ids=["message", "answer", "capture"],
)
def test_only_an_echo_clears_a_doubt(hearing, sound):
    hearing.sent(0, 0, 100.0)
    assert hearing.silent_s(101.6) > 0
    sound(hearing)
    assert hearing.silent_s(102.1) == pytest.approx(2.1)
    assert hearing.wants_echo(102.1)
    hearing.echoed(0.01, 102.2)
    assert hearing.silent_s(102.3) == 0.0


def test_what_comes_too_late_clears_no_doubt_that_nobody_looked_at(hearing):
    hearing.sent(0, 0, 100.0)
    hearing.answered(0, 102.0)
    assert hearing.silent_s(102.0) == pytest.approx(2.0)


def test_after_the_last_answer_nothing_is_waited_for(hearing):
    hearing.sent(0, 0, 100.0)
    hearing.answered(0, 100.1)
    assert hearing.silent_s(200.0) == 0.0


def test_a_connection_with_long_round_trips_may_be_silent_for_longer(hearing):
    hearing.echoed(1.0, 99.0)
    hearing.sent(0, 0, 100.0)
    assert (hearing.silent_s(103.9), hearing.silent_s(104.1) > 0) == (0.0, True)


def test_many_bytes_under_way_may_take_their_time(hearing):
    hearing.sent(0, 4000, 100.0)
    assert (hearing.silent_s(105.4), hearing.silent_s(105.6) > 0) == (0.0, True)
    assert (hearing.unanswered_s(118.9), hearing.unanswered_s(119.1) > 0) == (0.0, True)


def test_an_echo_is_asked_for_when_it_is_quiet_and_again_after_as_long(hearing):
    hearing.sent(0, 0, 100.0)
    asked = [time_s for time_s in (100.4, 100.5, 100.7, 101.0, 101.4, 101.5) if hearing.wants_echo(time_s)]
    assert asked == [100.5, 101.0, 101.5]
    hearing.heard(101.5)
    assert (hearing.wants_echo(101.95), hearing.wants_echo(102.0)) == (False, True)


def test_a_server_that_echoes_and_does_not_answer_is_found_out(hearing):
    hearing.sent(0, 0, 100.0)
    hearing.echoed(0.01, 114.0)
    assert (hearing.unanswered_s(114.9), hearing.silent_s(114.9)) == (0.0, 0.0)
    assert hearing.unanswered_s(115.1) == pytest.approx(15.1)


@given(st.lists(st.tuples(st.sampled_from(["sent", "heard", "answered"]), st.floats(0, 1.4)), max_size=30))
def test_whoever_is_heard_often_enough_is_never_suspect(events):
    hearing, now = Hearing(PATIENCE, 0.0), 0.0
    for number, (event, pause_s) in enumerate(events):
        now += pause_s
        assert hearing.silent_s(now) == 0.0
        if event == "sent":
            hearing.sent(number, 0, now)
        hearing.answered(number - 1, now) if event == "answered" else hearing.heard(now)


def test_an_echo_that_was_under_way_in_an_outage_is_no_measure(hearing):
    hearing.echoed(0.1, 98.0)
    hearing.echoed(3.0, 99.0)
    hearing.sent(0, 0, 100.0)
    assert hearing.silent_s(101.6) > 0
