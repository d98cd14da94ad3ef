"""An agent that answers by itself what the server does not answer in time."""

import threading

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.head.link import Link
from isthmus.head.sources.paced import Paced

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]
DEADLINE_S = 1.0


@pytest.fixture(scope="module")
def bundle(make_tiny_bundle):
    return make_tiny_bundle(local=True)


def silent(requests):
    """A server that takes captures and never answers."""
    next(requests)
    yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=3))
    list(requests)


def test_without_a_link_the_device_answers_every_picture(agent_run, bundle, pictures):
    with Link(bundle, ["127.0.0.1:1"], device_id="camera") as link:
        run = agent_run(bundle, pictures(20), link=link, alone=True)
        assert run.go().answered == 20
    run.assert_every_frame_once(20)
    assert {(record.placement, record.fallback) for record in run.records} == {("local", "link")}


def test_a_server_that_answers_in_time_leaves_the_device_nothing_to_do(agent_run, bundle, serve, connect, pictures):
    link = connect(serve(bundle).address, bundle=bundle)
    run = agent_run(bundle, pictures(20), link=link, alone=True, deadline_s=agent_run.WAIT_S)
    assert run.go().answered == 20
    assert {(record.placement, record.fallback) for record in run.records} == {("split", "")}
    assert (run.standby.unneeded, run.ledger.summary.late) == (0, 0)


def test_a_silent_server_costs_no_answer(agent_run, bundle, peer, connect, pictures):
    link = connect(peer(silent), bundle=bundle)
    run = agent_run(
        bundle, Paced(pictures(30), 30), link=link, alone=True, deadline_s=DEADLINE_S, drop_policy="drop-oldest", finish_s=1.0
    )
    run.go()
    run.assert_every_frame_once(30)
    assert {record.placement for record in run.records if not record.reason} == {"local"}
    assert {record.fallback for record in run.records if not record.reason} == {"deadline", "newer"}


def test_an_answer_that_comes_after_the_devices_own_is_counted_and_not_entered(
    agent_run, bundle, serve, connect, shaped, pictures
):
    shaper = shaped(serve(bundle).address)
    link = connect(shaper.address, bundle=bundle)
    answered = threading.Event()

    def back(record):
        if record.sequence == 1:
            answered.set()

    def before(sequence):
        if sequence == 1:
            shaper.set_up(False)
        if sequence == 2:
            assert answered.wait(agent_run.WAIT_S)
            shaper.set_up(True)

    run = agent_run(bundle, pictures(3, before=before), link=link, alone=True, deadline_s=DEADLINE_S, on_record=back)
    run.go()
    run.assert_every_frame_once(3)
    assert [(record.sequence, record.fallback) for record in run.records if record.sequence == 1] == [(1, "deadline")]
    assert run.ledger.summary.late >= 1


def test_frames_in_flight_at_a_break_are_answered_by_the_device(agent_run, bundle, serve, connect, shaped, outage, pictures):
    shaper = shaped(serve(bundle).address, "unlimited/4ms")
    link = connect(shaper.address, bundle=bundle)
    run = agent_run(bundle, pictures(30, before=outage(shaper, breaks=True)), link=link, alone=True)
    assert run.go().answered == 30
    run.assert_every_frame_once(30)
    assert {record.fallback for record in run.records} == {"", "link"}


def test_what_the_server_refuses_the_device_answers(agent_run, bundle, peer, connect, pictures):
    def refusing(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=99))
        for message in requests:
            if message.HasField("capture"):
                refusal = wire.Answer(sequence=message.capture.sequence, allowed=99, status=wire.STATUS_FAILED)
                yield wire.FromTail(answer=refusal)

    run = agent_run(bundle, pictures(5), link=connect(peer(refusing), bundle=bundle), alone=True)
    assert run.go().answered == 5
    assert {record.fallback for record in run.records} == {"server"}


def test_a_stopped_run_leaves_no_frame_without_a_fate(agent_run, bundle, pictures):
    with Link(bundle, ["127.0.0.1:1"], device_id="camera") as link:
        source = pictures(10_000, before=lambda sequence: sequence == 50 and run.agent.stop())
        run = agent_run(bundle, source, link=link, alone=True, drop_policy="drop-oldest")
        run.go()
    run.assert_every_frame_once(51)
