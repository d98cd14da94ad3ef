import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices.sampler import Sampling
from isthmus.errors import Overloaded, QuotaExceeded
from isthmus.tail.generate.sessions import REPLIES_KEPT, LanguageSessions


class Stream:
    """A stream that only knows whether it was taken over."""

    over = False

    def taken_over(self):
        self.over = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return LanguageSessions(bytes_max=1000, client_bytes_max=600, lease_s=60, clock=clock)


def attach(sessions, client="one", wanted=b"", stream=None, size_bytes=0):
    stream = stream or Stream()
    session, resumed = sessions.attach(stream, belongs=(client, "laptop"), sampling=Sampling(), wanted=wanted)
    if size_bytes:
        sessions.reserve(session, size_bytes)
        session.cache = Held()
    return session, resumed, stream


class Held:
    """A cache that only knows whether it was closed."""

    length, closed = 7, False

    def close(self):
        self.closed = True


def test_a_session_is_found_again_by_whom_it_belongs_to(sessions):
    session, resumed, stream = attach(sessions, size_bytes=10)
    sessions.detach(session, stream)
    assert (resumed, attach(sessions, wanted=session.id)[:2]) == (False, (session, True))
    assert not attach(sessions, client="thief", wanted=session.id)[1]
    assert not attach(sessions, wanted=b"unknown")[1]


def test_a_second_stream_takes_a_session_over(sessions):
    session, _, first = attach(sessions, size_bytes=10)
    _, resumed, second = attach(sessions, wanted=session.id)
    assert (resumed, first.over, second.over) == (True, True, False)
    sessions.detach(session, first)
    assert session.stream is second


def test_a_lease_ends_without_a_step_and_begins_anew_with_each(sessions, clock):
    session, _, stream = attach(sessions, size_bytes=10)
    sessions.detach(session, stream)
    for clock.now in (50.0, 100.0):
        sessions.touch(session)
    clock.now = 159.0
    sessions.sweep()
    assert len(sessions) == 1
    clock.now = 161.0
    sessions.sweep()
    assert (len(sessions), sessions.size_bytes) == (0, 0)


def test_a_session_with_a_stream_loses_its_cache_with_its_lease_and_stays(sessions, clock):
    session, _, _ = attach(sessions, size_bytes=10)
    cache = session.cache
    clock.now = 61.0
    sessions.sweep()
    assert (len(sessions), session.cache, cache.closed, session.positions, sessions.size_bytes) == (1, None, True, 0, 0)


async def test_a_step_in_progress_holds_its_cache(sessions, clock):
    session, _, stream = attach(sessions, size_bytes=10)
    async with session.turn:
        sessions.detach(session, stream, forget=True)
        clock.now = 61.0
        sessions.sweep()
        assert not session.cache.closed
    sessions.sweep()
    assert len(sessions) == 0


def test_a_client_may_hold_its_share_and_loses_what_nobody_speaks_in_first(sessions):
    left, _, stream = attach(sessions, size_bytes=300)
    attach(sessions, size_bytes=300)
    third, _, _ = attach(sessions)
    with pytest.raises(QuotaExceeded, match="this client's conversations hold"):
        sessions.reserve(third, 100)
    sessions.detach(left, stream)
    sessions.reserve(third, 100)
    assert sessions.size_bytes == 400


def test_all_together_are_bounded_and_idle_sessions_go_first(sessions):
    idle, _, stream = attach(sessions, client="a", size_bytes=500)
    sessions.detach(idle, stream)
    attach(sessions, client="b", size_bytes=500)
    attach(sessions, client="c", size_bytes=500)
    assert (idle.cache, sessions.size_bytes) == (None, 1000)
    last, _, _ = attach(sessions, client="d")
    with pytest.raises(Overloaded, match="try another server"):
        sessions.reserve(last, 1)


def test_a_session_that_never_had_a_cache_is_not_kept(sessions):
    session, _, stream = attach(sessions)
    sessions.detach(session, stream)
    assert len(sessions) == 0


def test_a_contract_that_is_served_no_longer_takes_its_sessions_along(sessions):
    session, _, stream = attach(sessions, size_bytes=10)
    sessions.forget("laptop")
    assert len(sessions) == 1
    sessions.detach(session, stream)
    sessions.forget("other")
    sessions.forget("laptop")
    assert len(sessions) == 0


def test_only_the_last_replies_are_kept(sessions):
    session, _, _ = attach(sessions)
    for sequence in range(1, 20):
        session.remember(wire.Tokens(sequence=sequence))
    assert list(session.replies) == list(range(20 - REPLIES_KEPT, 20))
    assert session.last_sequence == 19


@pytest.mark.parametrize(
    ("pos", "count", "before"), [(12, 1, [5, 6, 7]), (11, 1, [5, 6]), (10, 1, [5]), (9, 1, []), (12, 3, []), (13, 1, [])]
)
def test_the_answer_so_far_follows_the_positions(sessions, pos, count, before):
    session, _, _ = attach(sessions)
    for index, token in enumerate([5, 6, 7]):
        session.drew([5, 6, 7][:index], token, 10 + index)
    assert session.answer_before(pos, count) == before
