"""Servers that break the rules: the device says so in one of our errors and does not hang."""

import itertools

import pytest
from tests.head.conversation.conftest import PROMPT

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import DeviceError, MalformedPayload, RemoteProtocolError, TailUnavailable
from isthmus.head.conversation import conversation as talking


class Scripted(split_pb2_grpc.TailServicer):
    """Answers every step with what a function makes of it."""

    def __init__(self, answer, first=None):
        self.answer = answer
        self.first = first or wire.StepReply(opened=wire.GenerateOpened(session=bytes(16), allowed=4))

    def Generate(self, requests, _context):  # noqa: N802
        next(requests)
        yield self.first
        for step in requests:
            if step.HasField("rows"):
                for reply in self.answer(step.rows):
                    yield wire.StepReply(tokens=reply)


def good(rows, **changed):
    fields = {"sequence": rows.sequence, "pos": rows.pos + rows.count, "status": wire.STATUS_OK, "allowed": 100}
    return wire.Tokens(**fields | changed)


@pytest.fixture
def ask(peer, language_bundle, talk):
    """A function that asks a scripted server for two tokens."""

    def two(answer, first=None, bundle=language_bundle):
        conversation = talk(bundle, peer(Scripted(answer, first)), patience_s=0.1)
        return [token.drawn.id for token in itertools.islice(conversation.answer(PROMPT), 2)]

    return two


def test_a_server_that_keeps_the_rules_is_understood(ask):
    assert ask(lambda rows: [good(rows, ids=[7] if rows.sample else [])]) == [7, 7]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"sequence": 99}, RemoteProtocolError, "answered step 99 where 1 was the next"),
        ({"ids": [300]}, RemoteProtocolError, "token 300"),
        ({"status": wire.STATUS_INVALID, "message": "no such rows"}, RemoteProtocolError, "no such rows"),
        ({"status": wire.STATUS_FAILED, "message": "out of memory"}, DeviceError, "out of memory"),
        ({"status": wire.STATUS_UNSPECIFIED}, RemoteProtocolError, "not computed"),
    ],
    ids=["sequence", "token", "invalid", "failed", "no status"],
)
def test_a_reply_that_cannot_be_is_an_error(ask, change, error, words):
    with pytest.raises(error, match=words):
        ask(lambda rows: [good(rows, **change)])


def test_a_server_that_never_gets_further_is_given_up(ask, monkeypatch):
    monkeypatch.setattr(talking, "STEP_S", 0.2)
    monkeypatch.setattr(talking, "LOSSES_MAX", 2)
    with pytest.raises(TailUnavailable, match="one server after another was lost"):
        ask(lambda rows: [good(rows, status=wire.STATUS_KEY_FRAME_NEEDED, pos=0)])


def test_a_server_that_draws_nothing_where_it_was_asked_to_is_told_so(ask):
    with pytest.raises(RemoteProtocolError, match="drew no token"):
        ask(lambda rows: [good(rows)])


def test_one_that_ends_every_stream_is_given_up(peer, language_bundle, talk):
    class Leaving(split_pb2_grpc.TailServicer):
        def Generate(self, requests, _context):  # noqa: N802
            next(requests)
            yield wire.StepReply(opened=wire.GenerateOpened(session=bytes(16), allowed=4))

    conversation = talk(language_bundle, peer(Leaving()), patience_s=0.1)
    with pytest.raises(TailUnavailable, match="one server after another was lost"):
        next(conversation.answer(PROMPT))


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (wire.StepReply(error=wire.Error(message="full")), TailUnavailable),
        (wire.StepReply(tokens=wire.Tokens()), RemoteProtocolError),
        (wire.StepReply(), RemoteProtocolError),
    ],
    ids=["error", "tokens", "nothing"],
)
def test_a_greeting_that_is_not_opened_is_an_error(ask, first, error):
    with pytest.raises(error):
        ask(lambda rows: [good(rows, ids=[1])], first)


def test_hidden_states_that_are_none_are_refused(ask, make_language_bundle):
    bundle = make_language_bundle(settings={"cut": "1+1", "layout": "sandwich"})
    with pytest.raises(MalformedPayload):
        ask(lambda rows: [good(rows, hidden=b"\x11" + bytes(rows.count))], bundle=bundle)
