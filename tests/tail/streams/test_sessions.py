import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import TailUnavailable
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


def attach(sessions, *, wanted=b"", device_id="camera", digest="d", stream=None, frame_bytes=1):
    return sessions.attach(stream or Stream(), device_id=device_id, digest=digest, frame_bytes=frame_bytes, wanted=wanted)


def leave(sessions, session):
    sessions.detach(session, session.stream)


def test_a_session_is_resumed_by_its_id(sessions):
    session, resumed = attach(sessions)
    assert (resumed, len(session.id)) == (False, 16)
    leave(sessions, session)
    assert attach(sessions, wanted=session.id) == (session, True)


@pytest.mark.parametrize("other", [{"device_id": "other"}, {"digest": "other"}, {"wanted": bytes(16)}])
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


def test_sessions_whose_frames_would_take_too_much_memory_make_room(sessions):
    """Four frames each: 600 bytes are held, and 600 more do not fit into 1000."""
    one, _ = attach(sessions, frame_bytes=150)
    leave(sessions, one)
    two, _ = attach(sessions, frame_bytes=150)
    assert not attach(sessions, wanted=one.id, frame_bytes=150)[1]
    assert attach(sessions, wanted=two.id)[1]


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
    with pytest.raises(TailUnavailable, match="all 2 sessions have a stream"):
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
    session = Session(id=b"", device_id="", digest="", last_used_at=0.0, references_kept=4, frame_bytes=1)
    for sequence in sequences:
        session.remember(sequence, (sequence,))
    assert session.references == tuple(sequences[-4:])
    for sequence in sequences:
        assert session.reference(sequence) == ((sequence,) if sequence in sequences[-4:] else None)
