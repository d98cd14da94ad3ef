import socket
import threading

import pytest

from isthmus.errors import ContractMismatch, Overloaded, PermissionDenied, TailUnavailable, Unreachable
from isthmus.head.search import LinkSettings, Pace, Search

pytestmark = pytest.mark.timeout(30)
QUICK = LinkSettings(probe_s=0.01, quick_retry_s=0.0, retry_max_s=0.01)


class Door:
    """Attempts that end as they are told, one list of ends for each address; the last one again and again."""

    def __init__(self, ends):
        self.ends = ends
        self.knocked = []

    def __call__(self, address, _given_up):
        self.knocked.append(address)
        ends = self.ends[address]
        end = ends.pop(0) if len(ends) > 1 else ends[0]
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture
def addresses():
    """Two at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        yield [f"127.0.0.1:{held.getsockname()[1]}" for held in (one, other)]


def search(addresses, *ends, settings=QUICK):
    door = Door(dict(zip(addresses, map(list, ends), strict=True)))
    return Search(addresses, settings, door), door


def never():
    return False


def test_the_first_server_that_takes_the_stream_is_it(addresses):
    looking, door = search(addresses, ["a stream"], ["another"])
    assert looking.run(never, was_let_in=False) == "a stream"
    assert door.knocked == addresses[:1]


def test_whoever_says_nothing_is_asked_again(addresses):
    looking, door = search(addresses[:1], [Unreachable("no answer"), Unreachable("no answer"), "a stream"])
    assert looking.run(never, was_let_in=False) == "a stream"
    assert (len(door.knocked), str(looking.last_error)) == (3, "no answer")


def test_what_no_retry_can_mend_ends_the_search(addresses):
    looking, _ = search(addresses, [ContractMismatch("another bundle")], ["a stream"])
    with pytest.raises(ContractMismatch):
        looking.run(never, was_let_in=False)


def test_a_device_that_is_let_in_nowhere_gives_up_unless_it_was_once(addresses):
    refusal = PermissionDenied("no")
    looking, _ = search(addresses, [refusal], [refusal])
    with pytest.raises(PermissionDenied):
        looking.run(never, was_let_in=False)
    looking, _ = search(addresses, [refusal, refusal, "a stream"], [refusal])
    assert looking.run(never, was_let_in=True) == "a stream"


def test_a_server_without_room_is_not_asked_before_the_time_it_named(addresses):
    full = Overloaded("full", retry_after_ms=3_600_000)
    looking, door = search(addresses, [full], [Unreachable("no answer")] * 5 + ["a stream"])
    assert looking.run(never, was_let_in=False) == "a stream"
    assert door.knocked.count(addresses[0]) == 1


def test_a_server_that_refuses_is_asked_after_longer_pauses_than_one_that_is_away(addresses):
    settings = LinkSettings(probe_s=0.001, quick_retry_s=0.0, retry_max_s=30.0)
    looking, door = search(addresses, [TailUnavailable("draining")], [Unreachable("away")] * 20 + ["a stream"], settings=settings)
    assert looking.run(never, was_let_in=False) == "a stream"
    assert door.knocked.count(addresses[0]) == 1
    assert door.knocked.count(addresses[1]) == 21


def test_a_server_that_hangs_comes_last_the_next_time(addresses):
    settings = LinkSettings(connect_timeout_s=0.0, probe_s=0.01)
    looking, door = search(addresses, [Unreachable("hangs"), "late"], ["a stream"], settings=settings)
    assert looking.run(never, was_let_in=False) == "a stream"
    assert looking.run(never, was_let_in=False) == "a stream"
    assert door.knocked == [*addresses, addresses[1]]


def test_a_search_can_be_given_up(addresses):
    looking, _ = search(addresses, [Overloaded("full", retry_after_ms=3_600_000)], [Unreachable("away")])
    over = threading.Event()
    threading.Timer(0.1, over.set).start()
    assert looking.run(over.is_set, was_let_in=False) is None


def test_behind_a_proxy_servers_are_tried_without_a_plain_connection(monkeypatch):
    monkeypatch.setenv("grpc_proxy", "http://proxy.invalid")
    looking, _ = search(["nobody.invalid:1"], ["a stream"])
    assert looking.run(never, was_let_in=False) == "a stream"


def test_pauses_grow_while_nobody_wants_the_link_and_are_short_once_somebody_does():
    wanted = []
    pace = Pace(LinkSettings(probe_s=0.2, quick_retry_s=1.0, retry_max_s=30.0), lambda: bool(wanted))
    for _ in range(30):
        pace.draw()
    assert pace.pause_s > 1.0
    wanted.append(True)
    assert 0.15 <= pace.pause_s <= 0.25
    pace.draw()
    wanted.clear()
    assert pace.pause_s <= 0.5


def test_an_attempt_that_has_begun_is_not_given_up(addresses):
    given_up = []

    def attempt(_address, is_cut_off):
        given_up.append(True)
        assert not is_cut_off()
        return "a stream"

    assert Search(addresses, QUICK, attempt).run(lambda: bool(given_up), was_let_in=True) == "a stream"
