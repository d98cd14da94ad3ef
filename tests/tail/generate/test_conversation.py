import asyncio

import grpc
import numpy as np
import pytest
from tests.tail.generate.conftest import PROMPT, Halves

from isthmus.codec.payload import Mode
from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.admission.limits import ClientLimits

OTHER = [250, 1, 77, 12, 12, 180, 9]


@pytest.fixture
async def server(serve, halves):
    return await serve(bundle=halves.bundle)


@pytest.fixture
async def talk(server, converse):
    made = converse(server)
    await made.open()
    return made


async def test_a_server_draws_what_the_network_alone_would(talk, halves):
    assert await talk.greedy(PROMPT, 12) == halves.greedy(PROMPT, 12)


async def test_a_prompt_in_chunks_gives_what_it_gives_at_once(talk, halves):
    for pos in (0, 4, 8):
        reply = await talk.ask(PROMPT, pos, min(4, len(PROMPT) - pos), sample=pos == 8)
        assert (reply.pos, len(reply.ids)) == (min(pos + 4, len(PROMPT)), int(pos == 8))
    assert list(reply.ids) == halves.greedy(PROMPT, 1)


async def test_the_opening_says_what_was_agreed_on(server, converse):
    opened = await converse(server).open(modes=[wire.MODE_HIDDEN_INT8, wire.MODE_ZSTD], positions_expected=100)
    assert list(opened.modes) == [wire.MODE_HIDDEN_INT8, wire.MODE_HIDDEN_FP16]
    assert (opened.allowed, opened.resumed, opened.positions_held, opened.positions_max) == (4, False, 0, 256)
    assert (opened.lease_s, len(opened.session)) == (300, 16)


async def test_the_mode_of_a_payload_changes_in_mid_session(talk, halves):
    rows = halves.hidden(PROMPT)
    chunks = [(0, 4, Mode.HIDDEN_INT4), (4, 4, Mode.HIDDEN_FP16), (8, 2, Mode.HIDDEN_INT4)]
    for pos, count, mode in chunks:
        reply = await talk.ask(PROMPT, pos, count, hidden=halves.codec.encode(rows[pos : pos + count], mode))
        assert reply.status == wire.STATUS_OK
    crossed = np.concatenate([halves.codec.decode(halves.codec.encode(rows[p : p + n], m), n) for p, n, m in chunks])
    assert list(reply.ids) == [int(halves.tail.run(crossed, halves.tail.new_cache(64), 0)[-1].argmax())]


async def test_positions_are_authoritative_so_that_going_back_is_rollback(talk, halves):
    await talk.ask([*PROMPT, 7, 7, 7])
    reply = await talk.ask([*PROMPT, 9], len(PROMPT))
    assert (reply.pos, list(reply.ids)) == (len(PROMPT) + 1, halves.greedy([*PROMPT, 9], 1))


async def test_rows_behind_what_is_held_are_asked_for_from_there(talk):
    await talk.ask(PROMPT, 0, 4)
    reply = await talk.ask(PROMPT, 6)
    assert (reply.status, reply.pos) == (wire.STATUS_KEY_FRAME_NEEDED, 4)
    assert (await talk.ask(PROMPT, 4)).status == wire.STATUS_OK


async def test_a_repeated_step_is_answered_with_the_reply_kept_for_it(talk):
    first = await talk.ask(PROMPT, sampling=wire.Sampling(temperature=5, seed=1))
    await talk.ask([*PROMPT, *first.ids], len(PROMPT))
    talk.sequence = 0
    again = await talk.ask(PROMPT)
    assert (again.sequence, again.pos, list(again.ids)) == (1, len(PROMPT), list(first.ids))


async def test_a_sequence_number_that_does_not_grow_ends_the_stream(talk):
    talk.sequence = 40
    await talk.ask(PROMPT)
    await talk.rows(PROMPT, 0, 2, sequence=3)
    assert await talk.end() is grpc.StatusCode.INVALID_ARGUMENT
    assert "must grow" in await talk.details()


async def test_what_is_wrong_with_one_step_is_answered_and_may_come_again(talk, halves):
    payload = halves.codec.encode(halves.hidden(PROMPT), Mode.HIDDEN_FP16)
    for wrong in ({"hidden": payload[:-1]}, {"hidden": b""}, {"count": 0}, {"count": 513}, {"token_ids": wire.TokenIds(ids=[1])}):
        assert (await talk.ask(PROMPT, **wrong)).status == wire.STATUS_INVALID
    await talk.send(rows=wire.Rows(sequence=talk.sequence + 1, pos=256, count=1, hidden=payload))
    assert (await talk.tokens()).status == wire.STATUS_INVALID
    assert (await talk.ask(PROMPT, draft=[1])).status == wire.STATUS_INVALID
    assert (await talk.ask(PROMPT, sampling=wire.Sampling(top_p=2))).status == wire.STATUS_INVALID
    assert (await talk.ask(PROMPT)).status == wire.STATUS_OK


async def test_a_conversation_goes_on_where_it_was_after_its_stream_broke(server, converse, halves):
    first = converse(server)
    opened = await first.open()
    ids = PROMPT + await first.greedy(PROMPT, 3)
    first.call.cancel()
    second = converse(server)
    again = await second.open(session=opened.session)
    assert (again.resumed, again.session, again.positions_held) == (True, opened.session, len(ids) - 1)
    second.sequence = first.sequence
    assert list((await second.ask(ids, len(ids) - 1)).ids) == halves.greedy(ids, 1)


async def test_a_step_in_progress_is_finished_for_a_stream_that_comes_again(server, converse):
    first = converse(server)
    opened = await first.open()
    await first.rows(PROMPT, 0, len(PROMPT))
    first.call.cancel()
    second = converse(server)
    await second.open(session=opened.session)
    assert (await second.ask(PROMPT)).status == wire.STATUS_OK


async def test_another_device_does_not_get_a_conversation(server, converse):
    first = converse(server)
    opened = await first.open()
    await first.ask(PROMPT)
    other = await converse(server).open(session=opened.session, device_id="thief")
    assert not other.resumed
    assert other.session != opened.session


async def test_a_conversation_that_is_taken_over_ends_its_older_stream(server, converse):
    first, second = converse(server), converse(server)
    opened = await first.open()
    assert (await second.open(session=opened.session)).resumed
    assert await first.end() is grpc.StatusCode.ABORTED


async def test_a_closed_conversation_is_forgotten(server, converse):
    talk = converse(server)
    opened = await talk.open()
    await talk.ask(PROMPT)
    assert server._conversations.size_bytes > 0
    await talk.send(close=wire.Close())
    assert await talk.end() is grpc.StatusCode.OK
    assert server._conversations.size_bytes == 0
    assert not (await converse(server).open(session=opened.session)).resumed


async def test_many_conversations_at_a_time_get_what_each_would_get_alone(server, converse, halves):
    prompts = [PROMPT[index:] + OTHER[: index + 1] for index in range(6)]
    talks = [converse(server) for _ in prompts]
    for talk in talks:
        await talk.open()
    answers = await asyncio.gather(*(talk.greedy(prompt, 10) for talk, prompt in zip(talks, prompts, strict=True)))
    assert answers == [halves.greedy(prompt, 10) for prompt in prompts]


async def test_more_steps_than_allowed_end_the_stream(serve, converse, halves):
    talk = converse(await serve(bundle=halves.bundle, client=ClientLimits(rate_per_s=0.01, burst=1)))
    assert (await talk.open()).allowed == 1
    for _ in range(2):
        await talk.rows(PROMPT, 0, len(PROMPT))
    assert await talk.end() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_log_probabilities_come_where_they_are_asked_for(talk):
    reply = await talk.ask(PROMPT, sampling=wire.Sampling(temperature=0, logprobs=3))
    [detail] = reply.details
    assert detail.most_likely[0].id == reply.ids[0]
    assert len(detail.most_likely) == 3
    assert detail.logprob == detail.most_likely[0].logprob < 0


async def test_the_penalty_counts_tokens_of_the_answer_and_those_told_after_a_replay(server, converse):
    sampling = wire.Sampling(temperature=0, repetition_penalty=1000)
    first, second = converse(server), converse(server)
    await first.open(sampling=sampling)
    answer = await first.greedy(PROMPT, 5)
    assert len(set(answer)) == 5
    await second.open(sampling=sampling)
    ids = [*PROMPT, *answer[:4]]
    await second.ask(ids, 0, len(ids) - 1, sample=False)
    assert list((await second.ask(ids, len(ids) - 1, answer=answer[:4])).ids) == answer[4:]


async def test_a_cancelled_step_is_answered_and_leaves_the_cache_where_it_began(talk):
    await talk.ask(PROMPT, 0, 4)
    await talk.rows(PROMPT, 4, 2)
    await talk.send(cancel=wire.Cancel(sequence=2))
    reply = await talk.tokens()
    assert reply.status in (wire.STATUS_EXPIRED, wire.STATUS_OK)
    if reply.status == wire.STATUS_EXPIRED:
        assert (reply.pos, reply.message) == (4, "cancelled")
    assert (await talk.ask(PROMPT, reply.pos)).status == wire.STATUS_OK


async def test_a_step_whose_time_is_over_is_not_computed(talk):
    reply = await talk.ask(PROMPT, deadline_us=0)
    assert (reply.status, reply.pos) == (wire.STATUS_EXPIRED, 0)


async def test_a_cache_grows_with_the_conversation(serve, converse, make_language_bundle):
    long = Halves(make_language_bundle(max_position_embeddings=1024))
    talk = converse(await serve(bundle=long.bundle), long)
    await talk.open()
    ids = [int(one) for one in np.random.default_rng(0).integers(0, 300, 330)]
    for pos in (0, 200):
        reply = await talk.ask(ids, pos, min(200, len(ids) - pos))
    assert (reply.pos, list(reply.ids)) == (330, long.greedy(ids, 1))


async def test_a_client_is_told_when_it_has_its_share_of_memory(serve, converse, halves):
    one = halves.tail.cache_bytes(256)
    server = await serve(bundle=halves.bundle, client_cache_bytes_max=2 * one)
    talks = [converse(server) for _ in range(3)]
    for talk in talks[:2]:
        await talk.open()
    await talks[2].send(open=wire.GenerateOpen(contract_digest=bytes.fromhex(halves.bundle.digest)))
    assert await talks[2].end() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "this client's conversations hold" in await talks[2].details()


async def test_a_draining_server_asks_to_leave_and_answers_what_was_sent(server, talk):
    await talk.rows(PROMPT, 0, len(PROMPT))
    stopping = asyncio.create_task(server.stop(0.4))
    kinds = [(await talk.receive()).WhichOneof("message") for _ in range(2)]
    assert sorted(kinds) == ["drain", "tokens"]
    assert await talk.end() is grpc.StatusCode.OK
    await stopping


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (wire.Step(), grpc.StatusCode.INVALID_ARGUMENT),
        (wire.Step(rows=wire.Rows(sequence=1)), grpc.StatusCode.INVALID_ARGUMENT),
        (wire.Step(open=wire.GenerateOpen(contract_digest=b"other")), grpc.StatusCode.FAILED_PRECONDITION),
        (wire.Step(open=wire.GenerateOpen(device_id="x" * 600)), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["nothing", "rows", "another bundle", "a long name"],
)
async def test_what_is_no_opening_is_refused(server, converse, first, status):
    talk = converse(server)
    await talk.call.write(first)
    assert await talk.end() is status


@pytest.mark.parametrize("layout", ["sandwich", "tokens", "x" * 400])
async def test_a_layout_that_the_bundle_has_not_is_refused(server, converse, halves, layout):
    talk = converse(server)
    await talk.send(open=wire.GenerateOpen(contract_digest=bytes.fromhex(halves.bundle.digest), layout=layout))
    assert await talk.end() is grpc.StatusCode.INVALID_ARGUMENT
    assert "is not served" in await talk.details()
