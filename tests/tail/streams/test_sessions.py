import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Overloaded
from isthmus.tail.streams.sessions import Session, Sessions


class Stream:
    ended = False

    def taken_over(self):
        self.ended = True


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def sessions(clock):
    return Sessions(count_max=2, bytes_max=1000, idle_s=60, references_kept=4, clock=clock)


def attach(sessions, *, wanted=b"", device_id="camera", digest="d", owner="", stream=None):
    return sessions.attach(stream or Stream(), device_id=device_id, digest=digest, owner=owner, wanted=wanted)


def frame(value, size=1):
    return (np.full(size, value, np.int8),)


def leave(sessions, session):
    sessions.detach(session, session.stream)


def test_a_session_is_resumed_by_its_id(sessions):
    session, resumed = attach(sessions)
    assert (resumed, len(session.id)) == (False, 16)
    leave(sessions, session)
    assert attach(sessions, wanted=session.id) == (session, True)


@pytest.mark.parametrize("other", [{"device_id": "other"}, {"digest": "other"}, {"owner": "other"}, {"wanted": bytes(16)}])
def test_what_does_not_fit_gets_a_session_of_its_own(sessions, other):
    session, _ = attach(sessions)
    again, resumed = attach(sessions, **{"wanted": session.id, **other})
    assert (resumed, again.id == session.id, session.stream.ended) == (False, False, False)


def test_a_second_stream_ends_the_first_and_keeps_the_session_when_that_one_leaves(sessions):
    first, second = Stream(), Stream()
    session, _ = attach(sessions, stream=first)
    attach(sessions, stream=second, wanted=session.id)
    sessions.detach(session, first)
    assert (first.ended, second.ended, session.stream) == (True, False, second)


def test_the_session_left_longest_ago_makes_room(sessions):
    one, _ = attach(sessions)
    two, _ = attach(sessions)
    leave(sessions, two)
    leave(sessions, one)
    attach(sessions)
    assert attach(sessions, wanted=one.id)[1]
    assert len(sessions) == 2


def test_sessions_that_decoded_nothing_for_longest_give_up_their_frames_for_others(sessions):
    """One holds 600 bytes, and 600 more do not fit into 1000; its device keeps the session and is asked for a key frame."""
    one, _ = attach(sessions)
    two, _ = attach(sessions)
    for sequence in range(3):
        sessions.remember(one, sequence, frame(0, 200))
    for sequence in range(3):
        sessions.remember(two, sequence, frame(0, 200))
    assert (one.references, two.references) == ((), (0, 1, 2))
    assert sessions.size_bytes == one.size_bytes + two.size_bytes == 600
    leave(sessions, one)
    assert attach(sessions, wanted=one.id)[1]


def test_frames_too_large_for_all_memory_are_kept_for_the_device_that_sends_them(sessions):
    session, _ = attach(sessions)
    sessions.remember(session, 1, frame(0, 5000))
    assert session.references == (1,)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 400), st.booleans()), max_size=40))
def test_memory_is_counted_right_and_stays_bounded(steps):
    sessions = Sessions(count_max=3, bytes_max=1000, idle_s=60, references_kept=2)
    held = {}
    for step, (device, size, leaves) in enumerate(steps):
        if device not in held:
            try:
                held[device], _ = attach(sessions, device_id=device)
            except Overloaded:
                continue
        sessions.remember(held[device], step, frame(0, size))
        assert sessions.size_bytes <= 1000
        if leaves:
            leave(sessions, held.pop(device))
    for session in held.values():
        leave(sessions, session)
    sessions.forget("d")
    assert (len(sessions), sessions.size_bytes) == (0, 0)


def test_sessions_of_a_contract_that_is_gone_are_forgotten_unless_a_stream_has_them(sessions):
    left, _ = attach(sessions, digest="old")
    leave(sessions, left)
    held, _ = attach(sessions, digest="old")
    sessions.forget("old")
    assert attach(sessions, wanted=held.id, digest="old")[1]
    assert not attach(sessions, wanted=left.id, digest="old")[1]


def test_sessions_with_a_stream_make_no_room(sessions):
    attach(sessions)
    attach(sessions)
    with pytest.raises(Overloaded, match="all 2 sessions have a stream"):
        attach(sessions)


def test_a_session_is_forgotten_after_its_time(sessions, clock):
    session, _ = attach(sessions)
    clock.now = 100.0
    leave(sessions, session)
    clock.now = 159.9
    assert attach(sessions, wanted=session.id)[1]
    leave(sessions, session)
    clock.now = 220.0
    assert not attach(sessions, wanted=session.id)[1]
    assert len(sessions) == 1


def test_a_session_with_a_stream_is_not_forgotten(sessions, clock):
    session, _ = attach(sessions)
    clock.now = 1000.0
    attach(sessions)
    assert len(sessions) == 2
    assert attach(sessions, wanted=session.id)[1]


@given(st.lists(st.integers(0, 20), unique=True))
def test_the_last_four_frames_are_references(sequences):
    session = Session(id=b"", owner="", device_id="", digest="", last_used_at=0.0)
    for sequence in sequences:
        session.remember(sequence, frame(sequence), 4)
    assert session.references == tuple(sequences[-4:])
    for sequence in sequences:
        held = session.reference(sequence)
        assert held == (frame(sequence) if sequence in sequences[-4:] else None)
    assert session.size_bytes == sum(codes[0].nbytes for codes in map(session.reference, session.references))
