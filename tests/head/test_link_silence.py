"""A link whose stream falls silent: connections that hang, servers that hang, and links that are merely slow."""

import contextlib
import socket
import threading

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import TailUnavailable
from isthmus.head.hearing import Hearing, Patience
from isthmus.head.link import Link
from isthmus.head.search import LinkSettings

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]
WAIT_S = 20
NERVOUS = Patience(echo_s=0.05, silent_s=0.3, round_trips=0.0, answer_s=600)
ALERT = LinkSettings(connect_timeout_s=2.0, probe_s=0.02, patience=NERVOUS)


class Relay:
    """Passes TCP on; what is open can be made to hang, as behind lost packets, while new connections work."""

    def __init__(self, target):
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = []
        self._passing = threading.Event()
        self._passing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self):
        """Pass nothing on any more on what is open now."""
        self._passing.clear()
        self._passing = threading.Event()
        self._passing.set()

    def close(self):
        for held in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                # A close alone does not wake a thread that waits.
                held.shutdown(socket.SHUT_RDWR)
            held.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink, self._passing), daemon=True).start()

    def _pass_on(self, source, sink, passing):
        try:
            while data := source.recv(65536):
                if not passing.is_set():
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


def silent(requests):
    """A server that takes captures and never answers, and says so when it has one."""
    next(requests)
    yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=3))
    list(requests)


@pytest.fixture
def echoes(monkeypatch):
    """Released with every echo that comes back."""
    heard = threading.Semaphore(0)
    original = Hearing.echoed
    monkeypatch.setattr(Hearing, "echoed", lambda self, *times: (original(self, *times), heard.release()))
    return heard


def test_a_connection_that_hangs_is_left_for_a_new_one_with_the_same_session(serve, connect):
    relay = Relay(serve().address)
    link = connect(relay.address, settings=ALERT)
    session = link.session
    relay.hang()
    with pytest.raises(TailUnavailable):
        link.send(wire.Capture(sequence=0, codes=b"x")).result(WAIT_S)
    assert link.wait_credit(WAIT_S)
    assert link.send(wire.Capture(sequence=1, codes=b"x")).result(WAIT_S).status == "invalid"
    assert (link.session, link.reconnects) == (session, 1)
    link.close()
    relay.close()


def test_a_silent_link_is_not_connected_and_gives_no_credit_until_it_is_heard_again(serve, connect, shaped):
    shaper = shaped(serve().address)
    link = connect(shaper.address, settings=ALERT)
    shaper.set_up(False)
    late = link.send(wire.Capture(sequence=0, codes=b"x"))
    while link.connected:
        threading.Event().wait(0.01)
    assert not link.wait_credit(0)
    shaper.set_up(True)
    assert late.result(WAIT_S).status == "invalid"
    assert link.wait_credit(WAIT_S)
    assert link.connected


def test_a_server_that_computes_for_long_is_not_taken_for_dead(peer, connect, echoes):
    link = connect(peer(silent), settings=ALERT)
    future = link.send(wire.Capture(sequence=0))
    for _ in range(20):
        assert echoes.acquire(timeout=WAIT_S)
    assert (future.done(), link.connected, link.reconnects) == (False, True, 0)


def test_a_server_that_never_answers_is_left_for_another_one(peer, serve, tiny_bundle):
    settings = LinkSettings(connect_timeout_s=2.0, patience=Patience(echo_s=0.05, answer_s=0.2))
    mute, sound = peer(silent), serve().address
    name = next(name for name in map(str, range(99)) if Link(tiny_bundle, [mute, sound], device_id=name).addresses[0] == mute)
    with Link(tiny_bundle, [mute, sound], device_id=name, settings=settings) as link:
        link.wait_connected(WAIT_S)
        with pytest.raises(TailUnavailable, match="lives and has not answered a capture for"):
            link.send(wire.Capture(sequence=0, codes=b"x")).result(WAIT_S)
        assert link.wait_credit(WAIT_S)
        assert link.send(wire.Capture(sequence=1, codes=b"x")).result(WAIT_S).status == "invalid"


def test_a_link_on_which_nothing_is_under_way_may_be_silent_for_ever(serve, connect, shaped):
    shaper = shaped(serve().address)
    link = connect(shaper.address, settings=ALERT)
    shaper.set_up(False)
    threading.Event().wait(0.5)
    assert (link.connected, link.reconnects) == (True, 0)
    shaper.set_up(True)
