import socket
import threading

import grpc
import pytest

from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.contract.overload import retry_metadata
from isthmus.errors import ConfigError, ContractMismatch, Overloaded, RemoteProtocolError, TailUnavailable
from isthmus.head.link import Link
from isthmus.head.model import DeviceModel
from isthmus.head.search import LinkSettings

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]
WAIT_S = 20
NEVER = LinkSettings(connect_timeout_s=600)
"""An attempt that hangs is told from one that was given up by the time-out of the test."""


@pytest.fixture
def capture(tiny_bundle, picture):
    """A function that makes a real capture of a sequence number."""
    arrays = DeviceModel(tiny_bundle, "head.onnx").compute(picture).arrays
    payload = Codec(tiny_bundle.manifest.boundary, tiny_bundle.manifest.points).encode(arrays)
    return lambda sequence: wire.Capture(sequence=sequence, codes=payload)


@pytest.fixture
def closed_address():
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def mute_address():
    """An address that takes connections and says nothing, as behind a dead radio."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        yield f"127.0.0.1:{mute.getsockname()[1]}"


def test_a_link_needs_an_address(tiny_bundle):
    with pytest.raises(ConfigError, match="--tail"):
        Link(tiny_bundle, [], device_id="camera")


def test_a_capture_is_answered(serve, connect, capture):
    link = connect(serve().address)
    assert link.connected
    assert link.wait_credit(WAIT_S)
    reply = link.send(capture(0)).result(WAIT_S)
    assert reply.ok
    assert reply.outputs["scores"].shape == (1, 5)


def test_without_a_server_waiting_ends_in_time_and_says_what_to_do(tiny_bundle, closed_address):
    with Link(tiny_bundle, [closed_address], device_id="camera", settings=NEVER) as link:
        with pytest.raises(TailUnavailable, match="isthmus serve"):
            link.wait_connected(0.3)
        assert not link.connected
        assert not link.wait_credit(0)
        with pytest.raises(TailUnavailable, match="down"):
            link.send(wire.Capture())


def test_a_link_closes_while_an_attempt_hangs(tiny_bundle, mute_address):
    with (
        Link(tiny_bundle, [mute_address], device_id="camera", settings=NEVER) as link,
        pytest.raises(TailUnavailable, match=mute_address),
    ):
        link.wait_connected(0.3)


def test_a_link_that_was_never_started_closes(tiny_bundle):
    Link(tiny_bundle, ["tail:1"], device_id="camera").close()


def test_a_dead_address_does_not_keep_a_device_from_the_next(serve, connect, closed_address):
    assert connect(closed_address, serve().address, settings=NEVER).connected


def test_a_link_with_a_long_round_trip_connects(serve, connect, shaped):
    shaper = shaped(serve().address, "unlimited/800ms")
    assert connect(shaper.address, settings=LinkSettings(connect_timeout_s=WAIT_S)).connected


def test_a_server_with_another_bundle_is_no_use_and_retrying_neither(serve, connect, make_tiny_bundle):
    address = serve(make_tiny_bundle(seed=2)).address
    with pytest.raises(ContractMismatch, match="same bundle"):
        connect(address)


def test_a_server_of_another_kind_is_no_use(peer, connect):
    with pytest.raises(RemoteProtocolError, match="UNIMPLEMENTED"):
        connect(peer(None))


def test_a_full_server_is_asked_again_until_a_place_is_free(serve, connect, tiny_bundle):
    address = serve(streams_max=1).address
    with Link(tiny_bundle, [address], device_id="first") as first:
        first.wait_connected(WAIT_S)
        with Link(tiny_bundle, [address], device_id="second") as second:
            with pytest.raises(TailUnavailable, match="streams are taken"):
                second.wait_connected(0.5)
            first.close()
            second.wait_connected(WAIT_S)


def test_a_pause_that_the_server_asked_for_ends_by_itself(peer, connect):
    def script(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=1))
        next(requests)
        full = wire.Answer(sequence=0, status=wire.STATUS_OVERLOADED, allowed=2, retry_after_ms=50)
        yield wire.FromTail(answer=full)
        list(requests)

    link = connect(peer(script))
    assert link.send(wire.Capture(sequence=0)).result(WAIT_S).status == "overloaded"
    assert not link.wait_credit(0)
    # Nothing else wakes it: a link that does not look by itself waits ten minutes, and this test one.
    assert link.wait_credit(600)


class Full(split_pb2_grpc.TailServicer):
    """A server without room for an hour."""

    def __init__(self):
        self.asked = threading.Semaphore(0)

    def Stream(self, _requests, context):  # noqa: N802
        self.asked.release()
        context.set_trailing_metadata(retry_metadata(3_600_000))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room")


def test_a_full_server_is_not_asked_again_before_it_said(peer, tiny_bundle):
    full = Full()
    with Link(tiny_bundle, [peer(full)], device_id="camera") as link:
        with pytest.raises(Overloaded, match="no room"):
            link.wait_connected(1)
        assert full.asked.acquire(timeout=WAIT_S)
        # Without the hint it is asked every 0.1 to 0.5 s.
        assert not full.asked.acquire(timeout=1)


def test_after_a_reset_the_session_goes_on_with_all_credits(serve, connect, shaped, capture):
    shaper = shaped(serve().address)
    link = connect(shaper.address)
    session = link.session
    for sequence in range(4):
        assert link.wait_credit(WAIT_S)
        assert link.send(capture(sequence)).result(WAIT_S).ok
    shaper.set_up(False)
    lost = link.send(capture(4))
    shaper.reset()
    with pytest.raises(TailUnavailable):
        lost.result(WAIT_S)
    shaper.set_up(True)
    link.wait_connected(WAIT_S)
    assert link.wait_credit(WAIT_S)
    assert [link.send(capture(5)).result(WAIT_S).ok, link.send(capture(6)).result(WAIT_S).ok] == [True, True]
    assert link.session == session
    assert link.reconnects == 1


def test_a_server_that_comes_back_gives_a_new_session(serve, connect, capture):
    tail = serve()
    link = connect(tail.address)
    session = link.session
    assert link.send(capture(9)).result(WAIT_S).ok
    tail.stop()
    serve(grpc_port=tail.port)
    assert link.wait_credit(WAIT_S)
    assert link.send(capture(10)).result(WAIT_S).ok
    assert link.session != session


def test_a_short_outage_loses_nothing(serve, connect, shaped, capture):
    shaper = shaped(serve().address)
    link = connect(shaper.address)
    shaper.set_up(False)
    late = link.send(capture(0))
    shaper.set_up(True)
    assert late.result(WAIT_S).ok
    assert link.reconnects == 0


@pytest.mark.slow
def test_a_link_that_is_silent_is_noticed_while_a_capture_waits(serve, connect, shaped, capture):
    shaper = shaped(serve().address)
    link = connect(shaper.address)
    shaper.set_up(False)
    with pytest.raises(TailUnavailable):
        link.send(capture(0)).result(WAIT_S)


def test_a_draining_server_is_left_for_another_one(serve, connect, capture):
    tails = {tail.address: tail for tail in (serve(), serve())}
    link = connect(*tails)
    tails[link.addresses[0]].stop(grace_s=WAIT_S)
    assert link.wait_credit(WAIT_S)
    assert link.send(capture(0)).result(WAIT_S).ok


def test_a_server_that_ends_every_stream_is_not_asked_without_a_pause(peer, tiny_bundle):
    asked = threading.Semaphore(0)

    def script(requests):
        next(requests)
        asked.release()
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=2))

    with Link(tiny_bundle, [peer(script)], device_id="camera"):
        assert asked.acquire(timeout=WAIT_S)
        assert asked.acquire(timeout=WAIT_S)
        # A loop without a pause asks some hundred times a second.
        assert not any(all(asked.acquire(timeout=0.01) for _ in range(3)) for _ in range(10))


def test_nobody_waits_for_a_stream_that_a_peer_ends_while_captures_are_in_flight(peer, connect):
    def script(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=2))
        next(requests)

    link = connect(peer(script))
    with pytest.raises(TailUnavailable, match="ended the stream"):
        link.send(wire.Capture(sequence=0)).result(WAIT_S)
