import itertools
import os
import signal
import threading
import time

import numpy as np
import pytest
from tests.head.conversation.conftest import PROMPT, SAMPLING, Alone

from isthmus.bench import programs
from isthmus.codec.payload import Mode
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.sampler import Sampling, draw
from isthmus.errors import ConfigError, ContractMismatch, TailUnavailable, UsageError
from isthmus.head.conversation.near import Near


def take(conversation, prompt, count):
    return [token.drawn.id for token in itertools.islice(conversation.answer(prompt), count)]


def test_an_answer_over_the_wire_is_that_of_both_halves_in_one_place(whole_bundle, serve, talk):
    conversation = talk(whole_bundle, serve(whole_bundle).address)
    assert take(conversation, PROMPT, 20) == Alone(whole_bundle).answer(PROMPT, 20)
    assert conversation.layout == "head-tail"


def test_networks_that_give_their_caches_anew_answer_over_the_wire_too(traced_bundle, serve, talk):
    conversation = talk(traced_bundle, serve(traced_bundle).address)
    tokens = take(conversation, PROMPT, 6)
    again = take(conversation, (*PROMPT[:60], 7), 6)
    alone = Alone(traced_bundle)
    assert tokens == alone.answer(PROMPT, len(tokens))
    assert again == alone.answer((*PROMPT[:60], 7), len(again))


def test_the_next_turn_sends_only_what_is_new(whole_bundle, serve, talk):
    conversation = talk(whole_bundle, serve(whole_bundle).address)
    first = take(conversation, PROMPT, 5)
    before = conversation.bytes_up_down[0]
    prompt = (*PROMPT, *first, 7, 8, 9)
    assert take(conversation, prompt, 5) == Alone(whole_bundle).answer(prompt, 5)
    assert conversation.bytes_up_down[0] - before < 12 * 110


def test_another_prompt_goes_back_to_what_both_have_in_common(whole_bundle, serve, talk):
    conversation = talk(whole_bundle, serve(whole_bundle).address)
    take(conversation, PROMPT, 5)
    other = (*PROMPT[:40], 3, 3, 3)
    assert take(conversation, other, 5) == Alone(whole_bundle).answer(other, 5)


def test_the_mode_of_hidden_states_changes_in_mid_conversation(whole_bundle, serve, talk):
    conversation = talk(whole_bundle, serve(whole_bundle).address, mode=Mode.HIDDEN_FP16)
    sizes = []
    for mode in (Mode.HIDDEN_FP16, Mode.HIDDEN_INT8, Mode.HIDDEN_INT4):
        conversation.mode = mode
        before = conversation.bytes_up_down[0]
        take(conversation, (*conversation.ids, 5) if conversation.ids else PROMPT[:1], 3)
        sizes.append(conversation.bytes_up_down[0] - before)
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_killed_server_costs_no_wrong_token_and_only_the_replay(whole_bundle, serve, talk):
    left = serve(whole_bundle).address
    with programs.server(whole_bundle.folder) as process:
        conversation = talk(whole_bundle, process.match["grpc"], left)
        got = []
        for token in itertools.islice(conversation.answer(PROMPT), 30):
            got.append(token.drawn.id)
            if len(got) == 12:
                assert conversation.address == process.match["grpc"]
                os.kill(process.pid, signal.SIGKILL)
    assert (conversation.changes, conversation.address, conversation.lost) == (1, left, None)
    assert got == Alone(whole_bundle).answer(PROMPT, 30)


def test_a_broken_stream_is_resumed_at_the_same_server_without_a_replay(whole_bundle, serve, talk):
    conversation = talk(whole_bundle, serve(whole_bundle).address)
    tokens = []
    for token in itertools.islice(conversation.answer(PROMPT), 20):
        tokens.append(token)
        if len(tokens) == 8:
            before = conversation.bytes_up_down[0]
            conversation._route.exchange._call.cancel()
    assert [token.drawn.id for token in tokens] == Alone(whole_bundle).answer(PROMPT, 20)
    assert ({token.placement for token in tokens}, conversation.changes) == ({"head-tail"}, 1)
    assert conversation.bytes_up_down[0] - before < len(PROMPT) * 68


def test_a_resumed_conversation_that_went_back_meanwhile_sends_what_differs(whole_bundle, serve, talk):
    conversation = talk(whole_bundle, serve(whole_bundle).address)
    take(conversation, PROMPT, 5)
    conversation._route.exchange._call.cancel()
    other = (*PROMPT[:40], *PROMPT[50:], 9, 9)
    assert take(conversation, other, 5) == Alone(whole_bundle).answer(other, 5)
    assert conversation.changes == 1


def test_without_a_server_the_device_finishes_the_answer_and_says_so(whole_bundle, serve, talk):
    server = serve(whole_bundle)
    conversation = talk(whole_bundle, server.address)
    tokens = []
    for token in itertools.islice(conversation.answer(PROMPT), 20):
        tokens.append(token)
        if len(tokens) == 7:
            server.stop()
    assert [token.placement for token in tokens] == ["head-tail"] * 7 + ["local"] * 13
    assert isinstance(conversation.lost, TailUnavailable)
    local, ids = Decoder.of_bundle(whole_bundle, "local.onnx"), [*PROMPT, *(token.drawn.id for token in tokens)]
    logits = local.run(np.array(ids, np.int64), local.new_cache(256), 0)
    for place in range(len(PROMPT) + 7, len(ids)):
        assert draw(logits[place - 1], SAMPLING, position=place, answer=ids[len(PROMPT) : place]).id == ids[place]


def test_a_link_that_dies_is_left_by_a_device_that_can_go_on_alone_and_taken_again(whole_bundle, serve, shaped, talk):
    link = shaped(serve(whole_bundle).address)
    conversation = talk(whole_bundle, link.address)
    tokens = []
    for token in itertools.islice(conversation.answer(PROMPT), 8):
        tokens.append(token)
        if len(tokens) == 3:
            link.set_up(False)
    assert [token.placement for token in tokens] == ["head-tail"] * 3 + ["local"] * 5
    link.reset()
    link.set_up(True)
    prompt = (*conversation.ids, 4)
    again = list(itertools.islice(conversation.answer(prompt), 4))
    assert {token.placement for token in again} == {"head-tail"}
    assert [token.drawn.id for token in again] == Alone(whole_bundle).answer(prompt, 4)


def test_while_a_link_is_doubted_the_device_gets_ready_to_go_on_alone(whole_bundle, serve, shaped, talk):
    link = shaped(serve(whole_bundle).address)
    conversation = talk(whole_bundle, link.address)
    take(conversation, PROMPT, 2)
    prompt = conversation.ids
    conversation._make_ready()
    assert take(conversation, prompt, 1) == Alone(whole_bundle).answer(PROMPT, 3)[2:]
    conversation._near._finish_preparing()
    assert len(conversation._near._local) == len(prompt)
    kept = conversation._near._prepared[1]
    assert conversation._near.local_logits(prompt) is kept
    link.set_up(False)
    assert take(conversation, prompt, 2) == take(talk(whole_bundle, local=True), prompt, 2)


def test_an_echo_that_is_late_is_taken_for_a_doubt(whole_bundle, serve, shaped, talk, monkeypatch):
    ready, real = [], Near.prepare_local
    monkeypatch.setattr(Near, "prepare_local", lambda near, ids: (ready.append(len(ids)), real(near, ids)))
    link = shaped(serve(whole_bundle).address)
    conversation = talk(whole_bundle, link.address)
    places = []
    for token in itertools.islice(conversation.answer(PROMPT), 6):
        places.append(token.placement)
        if len(places) == 3:
            link.set_up(False)
    assert (ready, places) == ([len(PROMPT) + 3], ["head-tail"] * 3 + ["local"] * 3)


def test_another_server_is_asked_before_the_one_that_fell_silent(language_bundle, serve, shaped, talk):
    link, other = shaped(serve(language_bundle).address), serve(language_bundle).address
    conversation = talk(language_bundle, link.address, other)
    back = threading.Timer(4.0, link.set_up, [True])
    for count, _ in enumerate(itertools.islice(conversation.answer(PROMPT), 6)):
        if count == 2:
            link.set_up(False)
            back.start()
    back.cancel()
    assert (conversation.changes, conversation.address) == (1, other)


def test_a_server_that_drains_is_left_for_another_one(whole_bundle, serve, talk):
    servers = [serve(whole_bundle), serve(whole_bundle)]
    conversation = talk(whole_bundle, *(server.address for server in servers))
    got = []
    for token in itertools.islice(conversation.answer(PROMPT), 12):
        got.append(token.drawn.id)
        if len(got) == 4:
            servers[0].stop(grace_s=0.5)
    assert (got, conversation.lost) == (Alone(whole_bundle).answer(PROMPT, 12), None)


def test_token_ids_cross_where_the_server_has_the_whole_model(whole_bundle, serve, talk):
    address = serve(whole_bundle).address
    conversation = talk(whole_bundle, address, layout="tokens")
    assert take(conversation, PROMPT, 10) == take(talk(whole_bundle, local=True), PROMPT, 10)
    hidden = talk(whole_bundle, address)
    take(hidden, PROMPT, 10)
    assert conversation.bytes_up_down[0] < hidden.bytes_up_down[0] / 5


def test_in_the_sandwich_no_token_comes_from_the_server(make_language_bundle, serve, talk):
    bundle = make_language_bundle(settings={"cut": "1+1", "layout": "sandwich"})
    servers = [serve(bundle), serve(bundle)]
    conversation = talk(bundle, *(server.address for server in servers))
    expected = Alone(bundle).answer(PROMPT, 20)
    got = []
    for token in itertools.islice(conversation.answer(PROMPT), 20):
        got.append(token.drawn.id)
        if len(got) == 2:
            servers[0].stop()
    assert len(got) > 2
    assert got == expected[: len(got)]
    assert len(got) == 20 or got[-1] in bundle.manifest.eos


def test_an_answer_ends_with_the_token_that_ends_it(language_bundle, serve, talk):
    conversation = talk(language_bundle, serve(language_bundle).address, sampling=Sampling(temperature=50, seed=2))
    tokens = [token.drawn.id for token in conversation.answer(PROMPT)]
    assert tokens[-1] in (0, 1) or len(tokens) == 256 - len(PROMPT) + 1
    assert not set(tokens[:-1]) & {0, 1}


def test_nobody_there_is_said_after_the_patience(language_bundle, talk):
    started = time.monotonic()
    with pytest.raises(TailUnavailable, match="nobody listens at 127"):
        take(talk(language_bundle, "127.0.0.1:1", patience_s=0.3), PROMPT, 1)
    assert time.monotonic() > started


def test_another_bundle_is_refused_at_once(language_bundle, whole_bundle, serve, talk):
    with pytest.raises(ContractMismatch, match="give both the same bundle"):
        take(talk(language_bundle, serve(whole_bundle).address), PROMPT, 1)


def test_what_cannot_be_had_is_said_before_anything_is_sent(language_bundle, talk):
    with pytest.raises(ConfigError, match=r"local\.onnx"):
        talk(language_bundle, local=True)
    with pytest.raises(ConfigError, match="no server is named"):
        talk(language_bundle)
    with pytest.raises(UsageError, match="layout 'sandwich'"):
        talk(language_bundle, "127.0.0.1:1", layout="sandwich")
    for prompt, words in (((), "has 0 tokens"), ((1,) * 257, "has 257 tokens"), ((300,), "token 300")):
        with pytest.raises(UsageError, match=words):
            take(talk(language_bundle, "127.0.0.1:1"), prompt, 1)
