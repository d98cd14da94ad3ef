"""An agent whose frames must be delivered."""

import threading
from collections import Counter

import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import DeviceError
from isthmus.head.delivery import Delivery, DeliverySettings
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.sources.paced import Paced

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def alone(make_tiny_bundle):
    """A bundle with which the device can answer by itself."""
    return make_tiny_bundle(local=True)


@pytest.fixture
def deliver(tmp_path):
    """Settings with a folder of the test's own."""
    return DeliverySettings(folder=tmp_path / "queue")


@pytest.fixture
def run_without_a_server(agent_run, tiny_bundle, pictures, deliver):
    """A function that runs over pictures while no server is there, and gives the run."""

    def go(count, bundle=tiny_bundle, settings=deliver, **options):
        with Link(bundle, ["127.0.0.1:1"], device_id="camera") as link:
            run = agent_run(bundle, pictures(count), link=link, deliver=settings, finish_s=0.3, **options)
            run.go()
        return run

    return go


def from_server(records):
    """How often each frame has an answer of the server."""
    return Counter((record.device, record.session, record.sequence) for record in records if record.placement == "split")


def test_a_server_that_answers_leaves_nothing_on_the_disk(agent_run, tiny_bundle, serve, connect, pictures, deliver):
    run = agent_run(tiny_bundle, pictures(10), link=connect(serve().address), deliver=deliver)
    assert run.go().answered == 10
    run.assert_every_frame_once(10)
    assert not any(record.queued for record in run.records)
    assert run.agent.facts()["queue_pictures"] == 0
    assert run.waits_on_disk() == 0


def test_without_a_server_pictures_wait_and_the_next_run_delivers_each_once(
    run_without_a_server, agent_run, tiny_bundle, serve, connect, pictures, deliver
):
    first = run_without_a_server(6)
    assert (first.records, first.ledger.summary.frames) == ([], 0)
    second = agent_run(tiny_bundle, pictures(4), link=connect(serve().address), deliver=deliver)
    assert second.go().delivered == 6
    assert set(from_server(second.records).values()) == {1}
    queued = [record for record in second.records if record.queued]
    assert [record.sequence for record in queued] == list(range(6))
    assert {record.name for record in queued} == {f"{n}.png" for n in range(6)}
    assert all(record.captured_at > 1.5e9 and record.latency_s is None for record in queued)
    assert second.waits_on_disk() == 0


def test_an_outage_in_mid_run_loses_and_doubles_no_answer(
    agent_run, tiny_bundle, serve, connect, shaped, outage, pictures, deliver
):
    shaper = shaped(serve().address, "unlimited/4ms")
    source = Paced(pictures(30, before=outage(shaper, breaks=True)), 60)
    run = agent_run(tiny_bundle, source, link=connect(shaper.address), deliver=deliver)
    run.go()
    answers = from_server(run.records)
    assert (len(answers), set(answers.values())) == (30, {1})
    assert {record.sequence for record in run.records} == set(range(30))
    assert run.ledger.summary.delivered > 0
    assert run.waits_on_disk() == 0


def test_a_server_that_restarts_in_mid_run_loses_and_doubles_no_answer(agent_run, tiny_bundle, serve, connect, pictures, deliver):
    tail = serve()

    def restart(sequence):
        if sequence == 10:
            tail.stop()
            serve(grpc_port=tail.port)

    run = agent_run(tiny_bundle, pictures(30, before=restart), link=connect(tail.address), deliver=deliver)
    run.go()
    answers = from_server(run.records)
    assert (len(answers), set(answers.values())) == (30, {1})
    assert run.waits_on_disk() == 0


def test_what_the_device_answered_is_delivered_too(agent_run, alone, serve, connect, pictures, deliver, run_without_a_server):
    first = run_without_a_server(5, bundle=alone, alone=True)
    assert {(record.placement, record.fallback, record.queued) for record in first.records} == {("local", "link", False)}
    second = agent_run(alone, pictures(0), link=connect(serve(alone).address, bundle=alone), deliver=deliver)
    second.go()
    assert [record.queued for record in second.records] == [True] * 5
    assert from_server(second.records).keys() == {("camera", record.session, record.sequence) for record in first.records}


def test_an_answer_after_the_deadline_is_an_answer(agent_run, tiny_bundle, serve, connect, shaped, pictures, deliver):
    link = connect(shaped(serve().address, "unlimited/400ms").address)
    run = agent_run(tiny_bundle, pictures(3), link=link, deliver=deliver, deadline_s=0.3)
    assert run.go().answered == 3
    assert {(record.placement, record.queued, record.latency_s > 0.3) for record in run.records} == {("split", False, True)}


def test_an_answer_after_the_devices_own_is_an_answer_too(agent_run, alone, serve, connect, shaped, pictures, deliver):
    shaper = shaped(serve(alone).address)
    answered = threading.Event()

    def before(sequence):
        if sequence == 1:
            shaper.set_up(False)
        if sequence == 2:
            assert answered.wait(agent_run.WAIT_S)
            shaper.set_up(True)

    link = connect(shaper.address, bundle=alone)
    source = pictures(3, before=before)
    options = {"deadline_s": 2.5, "alone": True, "on_record": lambda record: record.sequence == 1 and answered.set()}
    run = agent_run(alone, source, link=link, deliver=deliver, **options)
    run.go()
    assert set(from_server(run.records).values()) == {1}
    assert len(from_server(run.records)) == 3
    assert [record.fallback for record in run.records if record.sequence == 1 and not record.queued] == ["deadline"]
    assert run.waits_on_disk() == 0


def test_a_picture_that_the_server_fails_on_is_given_up(agent_run, tiny_bundle, peer, connect, pictures, deliver):
    asked = []

    def refusing(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=99))
        for message in requests:
            if message.HasField("capture"):
                asked.append(message.capture.sequence)
                refusal = wire.Answer(sequence=asked[-1], allowed=99, status=wire.STATUS_FAILED, message="no")
                yield wire.FromTail(answer=refusal)

    run = agent_run(tiny_bundle, pictures(1), link=connect(peer(refusing)), deliver=deliver)
    assert run.go().lost == 1
    assert [(record.reason, record.detail, record.queued) for record in run.records] == [("server", "no", True)]
    # Live, and three times from the disk.
    assert (len(asked), asked) == (4, sorted(asked))


def test_what_waited_too_long_is_not_sent(run_without_a_server, agent_run, tiny_bundle, serve, connect, pictures, tmp_path):
    settings = DeliverySettings(folder=tmp_path / "queue", age_max_s=0.001)
    run_without_a_server(2, settings=settings)
    run = agent_run(tiny_bundle, pictures(0), link=connect(serve().address), deliver=settings)
    assert run.go().lost == 2
    assert {(record.reason, record.queued) for record in run.records} == {("queue", True)}
    assert run.waits_on_disk() == 0


def test_pictures_that_gave_way_are_told(run_without_a_server, tmp_path):
    # A picture of noise of 32 x 32 takes some 1.5 kB.
    run = run_without_a_server(9, settings=DeliverySettings(folder=tmp_path / "queue", bytes_max=6000))
    assert [(record.sequence, record.reason) for record in run.records] == [(n, "queue") for n in range(len(run.records))]
    assert 0 < len(run.records) == 9 - run.waits_on_disk()


def test_a_disk_that_is_full_leaves_frames_their_live_way(agent_run, tiny_bundle, serve, connect, pictures, deliver, monkeypatch):
    def refuse(*_args, **_options):
        raise DeviceError("the disk is full")

    monkeypatch.setattr("isthmus.head.spool.Spool.add", refuse)
    run = agent_run(tiny_bundle, pictures(5), link=connect(serve().address), deliver=deliver)
    assert run.go().answered == 5
    assert run.agent.facts()["queue_refused_pictures"] == 5


def test_pictures_are_sent_behind_live_frames_and_yet_steadily(run_without_a_server, deliver, tiny_bundle):
    run_without_a_server(3)
    ledger = Ledger(tiny_bundle.manifest, device_id="camera", deadline_s=None, sinks=[])
    with Delivery(deliver, ledger) as delivery:
        assert delivery.waiting == 3
        assert delivery.is_due(is_idle=False)
        delivery._sent_at = float("inf")
        assert (delivery.is_due(is_idle=False), delivery.is_due(is_idle=True)) == (False, True)
        delivery._under_way = 2
        assert not delivery.is_due(is_idle=True)
