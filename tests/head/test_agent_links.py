"""An agent whose link breaks, or whose server does not answer as it should."""

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import ContractMismatch
from isthmus.head.link import Link

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]


def test_without_a_link_frames_are_dropped_when_the_run_ends(agent_run, tiny_bundle, pictures):
    with Link(tiny_bundle, ["127.0.0.1:1"], device_id="camera") as link:
        run = agent_run(tiny_bundle, pictures(5), link=link, drop_policy="drop-oldest", finish_s=0.2)
        summary = run.go()
    assert summary.dropped == {"newer": 4, "link": 1}
    run.assert_every_frame_once(5)


def test_a_server_with_another_bundle_ends_the_run(agent_run, tiny_bundle, make_tiny_bundle, serve, pictures):
    address = serve(make_tiny_bundle(seed=3)).address
    with Link(tiny_bundle, [address], device_id="camera") as link:
        run = agent_run(tiny_bundle, pictures(5), link=link)
        with pytest.raises(ContractMismatch, match="same bundle"):
            run.go()


def test_an_outage_in_mid_run_is_survived_without_a_loss(agent_run, tiny_bundle, serve, connect, shaped, outage, pictures):
    shaper = shaped(serve().address, "unlimited/4ms")
    source = pictures(30, before=outage(shaper, breaks=False))
    run = agent_run(tiny_bundle, source, link=connect(shaper.address))
    assert run.go().answered == 30
    run.assert_every_frame_once(30)


def test_frames_in_flight_at_a_break_are_dropped_once_and_the_session_goes_on(
    agent_run, tiny_bundle, serve, connect, shaped, outage, pictures
):
    shaper = shaped(serve().address, "unlimited/4ms")
    link = connect(shaper.address)
    run = agent_run(tiny_bundle, pictures(30, before=outage(shaper, breaks=True)), link=link)
    summary = run.go()
    run.assert_every_frame_once(30)
    assert summary.dropped.keys() == {"link"}
    assert 1 <= summary.dropped["link"] <= 4
    assert {record.session for record in run.records} == {link.session.hex()}


def test_a_server_that_restarts_in_mid_run_costs_what_was_in_flight(agent_run, tiny_bundle, serve, connect, pictures):
    tail = serve()
    link = connect(tail.address)

    def restart(sequence):
        if sequence == 10:
            tail.stop()
            serve(grpc_port=tail.port)

    run = agent_run(tiny_bundle, pictures(30, before=restart), link=link)
    summary = run.go()
    run.assert_every_frame_once(30)
    assert set(summary.dropped) <= {"link"}
    assert summary.dropped["link"] <= 4
    assert run.fates[15:] == ["answered"] * 15
    assert len({record.session for record in run.records}) == 2


def test_a_server_that_drains_in_mid_run_answers_what_it_has(agent_run, tiny_bundle, serve, connect, pictures):
    tails = {tail.address: tail for tail in (serve(), serve())}
    link = connect(*tails)
    leaving = tails[link.addresses[0]]
    drain = {10: lambda: leaving.stop(grace_s=agent_run.WAIT_S)}
    run = agent_run(tiny_bundle, pictures(30, before=lambda sequence: drain.get(sequence, lambda: None)()), link=link)
    # One frame may have taken its credit when the stream ended.
    assert run.go().answered >= 29
    run.assert_every_frame_once(30)


def test_answers_that_do_not_come_are_dropped_when_the_patience_is_over(agent_run, tiny_bundle, peer, connect, pictures):
    def silent(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=5))
        list(requests)

    run = agent_run(tiny_bundle, pictures(3), link=connect(peer(silent)), finish_s=0.3)
    assert run.go().dropped == {"link": 3}
    run.assert_every_frame_once(3)


def answering(*answers):
    """A script that gives every capture the same answer."""

    def script(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=99))
        for message in requests:
            if message.HasField("capture"):
                for answer in answers:
                    yield wire.FromTail(answer=wire.Answer(sequence=message.capture.sequence, allowed=99, **answer))

    return script


TORN = [wire.Tensor(name="scores", datatype="FP32", shape=[1, 5], data=b"torn")]
FOUR = [wire.Tensor(name="scores", datatype="FP32", shape=[1, 4], data=bytes(16))]
EMPTY = [wire.Tensor(name="scores", datatype="FP32", shape=[1, 0])]


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({"status": wire.STATUS_OK, "outputs": TORN}, "server", "4 bytes"),
        ({"status": wire.STATUS_OK, "outputs": FOUR}, "server", "4 class scores"),
        ({"status": wire.STATUS_OK, "outputs": EMPTY}, "server", "no class scores"),
        ({"status": wire.STATUS_OK}, "server", "'scores'"),
        ({"status": wire.STATUS_FAILED, "message": "no memory"}, "server", "no memory"),
        ({"status": wire.STATUS_OVERLOADED}, "server", "overloaded"),
        ({"status": wire.STATUS_EXPIRED}, "deadline", "expired"),
    ],
    ids=["torn", "four", "empty", "nothing", "failed", "overloaded", "expired"],
)
def test_an_answer_without_sound_outputs_is_a_drop_that_says_why(
    agent_run, tiny_bundle, peer, connect, pictures, answer, reason, words
):
    run = agent_run(tiny_bundle, pictures(3), link=connect(peer(answering(answer))), labels=tuple("abcde"))
    assert run.go().dropped == {reason: 3}
    assert all(words in record.detail for record in run.records)
    run.assert_every_frame_once(3)


def test_a_peer_that_answers_twice_breaks_the_stream_and_not_the_agent(agent_run, tiny_bundle, peer, connect, pictures):
    twice = answering({"status": wire.STATUS_FAILED}, {"status": wire.STATUS_FAILED})
    run = agent_run(tiny_bundle, pictures(6), link=connect(peer(twice)))
    run.go()
    assert set(run.ledger.summary.dropped) <= {"server", "link"}
    run.assert_every_frame_once(6)
