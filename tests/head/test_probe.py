import contextlib
import socket
import threading

import pytest

from isthmus.head.addresses import Names
from isthmus.head.probe import reachable

pytestmark = pytest.mark.timeout(30)


class Steady:
    """A pace that counts, and gives up after so many attempts."""

    pause_s = 0.02

    def __init__(self, most=10**9):
        self.drawn = 0
        self._most = most

    def draw(self):
        self.drawn += 1

    def is_over(self):
        return self.drawn > self._most


@pytest.fixture
def listening():
    """A function that listens on a free port and gives the address."""
    with contextlib.ExitStack() as stack:

        def listen(port=0):
            held = stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return f"127.0.0.1:{held.getsockname()[1]}"

        yield listen


@pytest.fixture
def closed():
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return f"127.0.0.1:{held.getsockname()[1]}"


def never():
    return False


def test_whoever_listens_is_reached_and_the_best_one_comes_first(listening):
    addresses = [listening(), listening()]
    assert reachable(addresses, Names(), pace=Steady(), given_up=never)[0] == addresses[0]


def test_an_address_at_which_nobody_listens_does_not_hide_the_next_one(listening, closed):
    other = listening()
    assert reachable([closed, other], Names(), pace=Steady(), given_up=never) == [other]


def test_attempts_follow_each_other_until_they_are_given_up(closed):
    pace = Steady(most=5)
    assert reachable([closed], Names(), pace=pace, given_up=pace.is_over) == []
    assert pace.drawn == 6


def test_a_server_that_comes_later_is_reached(listening, closed):
    pace = Steady()
    threading.Timer(0.1, listening, [int(closed.rpartition(":")[2])]).start()
    assert reachable([closed], Names(), pace=pace, given_up=never) == [closed]
    assert pace.drawn > 1


def test_an_attempt_that_hangs_does_not_keep_the_next_ones_from_getting_through(closed):
    """A listener whose queue is full drops what comes, as a dead link does, until somebody is taken from the queue."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        pace = Steady()

        def given_up():
            if pace.drawn == 10:
                full.accept()[0].close()
            return False

        name = f"127.0.0.1:{address[1]}"
        # A second after the first attempt its kernel would repeat it.
        assert reachable([name], Names(), pace=pace, given_up=given_up) == [name]
        assert 10 <= pace.drawn < 50


def test_a_name_that_leads_nowhere_is_asked_for_again():
    pace = Steady(most=3)
    assert reachable(["nobody.invalid:80"], Names(), pace=pace, given_up=pace.is_over) == []
