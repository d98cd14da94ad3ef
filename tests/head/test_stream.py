import socket
import threading

import numpy as np
import pytest

from isthmus.contract import tensor
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import LocalProtocolError, RemoteProtocolError, TailUnavailable
from isthmus.head.references import References
from isthmus.head.stream import Stream, greeting

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]
WAIT_S = 20
HELLO = greeting("tiny", "ab" * 32, [2, 1], "camera")


def opened(allowed=2):
    return wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=allowed))


def answer(sequence, *outputs, allowed=9):
    return wire.FromTail(answer=wire.Answer(sequence=sequence, status=wire.STATUS_OK, outputs=outputs, allowed=allowed))


def capture(sequence):
    return wire.Capture(sequence=sequence, codes=b"\x01")


@pytest.fixture
def open_stream():
    streams = []

    def make(address, on_change=lambda: None):
        streams.append(Stream(address, HELLO, connect_timeout_s=WAIT_S, on_change=on_change))
        return streams[-1]

    yield make
    for stream in streams:
        stream.close(timeout_s=0.2)


def after_captures(count, *messages, allowed=2):
    """A script: open, read some captures, send messages, read to the end."""

    def script(requests):
        next(requests)
        yield opened(allowed)
        for _ in range(count):
            next(requests)
        yield from messages
        list(requests)

    return script


def test_an_answer_fulfils_its_capture_whatever_the_order(peer, open_stream):
    scores = np.arange(5, dtype=np.float32)
    outputs = [tensor.pack("scores", scores + shift) for shift in (0, 10)]
    stream = open_stream(peer(after_captures(2, answer(8, outputs[1]), answer(7, outputs[0]))))
    futures = [stream.send(capture(7)), stream.send(capture(8))]
    replies = [future.result(WAIT_S) for future in futures]
    assert [reply.sequence for reply in replies] == [7, 8]
    assert [reply.outputs["scores"][0] for reply in replies] == [0, 10]
    assert stream.in_flight == 0


def test_more_captures_than_credits_are_refused_before_they_leave(peer, open_stream):
    stream = open_stream(peer(after_captures(1, allowed=1)))
    stream.send(capture(0))
    assert stream.credits == 0
    with pytest.raises(LocalProtocolError, match="without a credit"):
        stream.send(capture(1))


def test_a_credit_opens_the_window_and_a_smaller_one_does_not_shut_it(peer, open_stream):
    changes = threading.Semaphore(0)
    credits = [wire.FromTail(credit=wire.Credit(allowed=allowed)) for allowed in (5, 3)]
    stream = open_stream(peer(after_captures(1, *credits, allowed=1)), changes.release)
    stream.send(capture(0))
    assert changes.acquire(timeout=WAIT_S)
    assert changes.acquire(timeout=WAIT_S)
    assert stream.credits == 4


def test_a_server_without_room_is_left_alone_for_as_long_as_it_asks(peer, open_stream):
    full = wire.Answer(sequence=1, status=wire.STATUS_OVERLOADED, allowed=9, retry_after_ms=3_600_000)
    stream = open_stream(peer(after_captures(2, wire.FromTail(answer=full), answer(2))))
    refused = stream.send(capture(1))
    assert stream.send(capture(2)).result(WAIT_S).ok
    assert (refused.result(WAIT_S).status, stream.credits) == ("overloaded", 0)
    # An hour is cut to a minute: a server that is wrong must not silence a device.
    assert 30 < stream.pause_s <= 60


def test_a_sequence_that_does_not_grow_is_refused(peer, open_stream):
    stream = open_stream(peer(after_captures(2)))
    stream.send(capture(3))
    with pytest.raises(LocalProtocolError, match="3 does not follow 3"):
        stream.send(capture(3))


@pytest.mark.parametrize(
    ("last_words", "words"),
    [
        (answer(99), "99, which is not in flight"),
        (wire.FromTail(error=wire.Error(message="out of order")), "out of order"),
    ],
    ids=["unknown answer", "error message"],
)
def test_what_is_in_flight_fails_when_the_peer_ends_the_conversation(peer, open_stream, last_words, words):
    stream = open_stream(peer(after_captures(1, last_words)))
    with pytest.raises(TailUnavailable, match=words):
        stream.send(capture(0)).result(WAIT_S)
    assert words in str(stream.ended)
    assert stream.credits == 0
    with pytest.raises(TailUnavailable, match=words):
        stream.send(capture(1))


def test_an_answer_that_cannot_be_read_costs_its_own_capture_only(peer, open_stream):
    torn = wire.Tensor(name="scores", datatype="FP32", shape=[5], data=b"short")
    stream = open_stream(peer(after_captures(2, answer(0, torn), answer(1))))
    first, second = stream.send(capture(0)), stream.send(capture(1))
    with pytest.raises(RemoteProtocolError, match="5 bytes"):
        first.result(WAIT_S)
    assert second.result(WAIT_S).ok


def test_a_drained_stream_gives_no_credit_and_still_answers(peer, open_stream):
    stream = open_stream(peer(after_captures(1, wire.FromTail(drain=wire.Drain()), answer(0))))
    assert stream.send(capture(0)).result(WAIT_S).ok
    assert stream.draining
    assert stream.credits == 0


def test_a_request_for_a_picture_is_answered_with_none(peer, open_stream):
    got, asked = [], threading.Event()

    def script(requests):
        next(requests)
        yield opened()
        yield wire.FromTail(fetch_evidence=wire.FetchEvidence(request=4, sequence=0))
        got.append(next(requests).evidence)
        asked.set()
        list(requests)

    open_stream(peer(script))
    assert asked.wait(WAIT_S)
    assert got[0].request == 4
    assert not got[0].HasField("picture")


def test_a_stream_that_is_closed_fails_what_nobody_answered(peer, open_stream):
    stream = open_stream(peer(after_captures(1)))
    future = stream.send(capture(0))
    stream.close(timeout_s=0.1)
    with pytest.raises(TailUnavailable):
        future.result(WAIT_S)


def test_the_reference_is_the_latest_frame_that_the_server_decoded(peer):
    answers = [wire.FromTail(answer=wire.Answer(sequence=n, decoded=True, allowed=9)) for n in (0, 3, 2)]
    references = References()
    address = peer(after_captures(4, *answers, allowed=4))
    stream = Stream(address, HELLO, connect_timeout_s=WAIT_S, on_change=lambda: None, references=references)
    futures = [stream.send(capture(number), (np.array([number]),)) for number in range(4)]
    for number in (0, 3, 2):
        futures[number].result(WAIT_S)
    assert (references.latest.sequence, references.latest.codes[0].tolist()) == (3, [3])
    stream.close(timeout_s=0.2)


@pytest.mark.parametrize(
    ("first", "error", "words"),
    [
        ([], RemoteProtocolError, "before it answered the greeting"),
        ([answer(0)], RemoteProtocolError, "'answer', not with 'opened'"),
        ([wire.FromTail(error=wire.Error(message="full"))], TailUnavailable, "refuses: full"),
    ],
    ids=["end", "answer", "error"],
)
def test_a_greeting_that_is_not_answered_with_opened_is_an_error(peer, open_stream, first, error, words):
    with pytest.raises(error, match=words):
        open_stream(peer(lambda _requests: first))


def test_a_grpc_server_of_another_kind_is_told_from_a_missing_one(peer, open_stream):
    with pytest.raises(RemoteProtocolError, match="UNIMPLEMENTED"):
        open_stream(peer(None))


def test_a_server_that_never_answers_the_greeting_is_unavailable(peer):
    with pytest.raises(TailUnavailable):
        Stream(peer(lambda requests: list(requests)), HELLO, connect_timeout_s=0.3, on_change=lambda: None)


def test_a_refused_connection_is_known_at_once():
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = f"127.0.0.1:{held.getsockname()[1]}"
    with pytest.raises(TailUnavailable, match="isthmus serve"):
        Stream(address, HELLO, connect_timeout_s=600, on_change=lambda: None)


def test_an_attempt_that_hangs_can_be_given_up():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(TailUnavailable):
            Stream(address, HELLO, connect_timeout_s=600, on_change=lambda: None, given_up=lambda: True)
