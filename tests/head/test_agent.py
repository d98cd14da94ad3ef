import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.manifest import Task
from isthmus.devices import link as profiles
from isthmus.devices.sensors import Readings
from isthmus.devices.shaper_thread import run_in_thread
from isthmus.errors import ConfigError, ContractMismatch, SourceError
from isthmus.head.agent import Agent
from isthmus.head.gate import MotionGate
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link, LinkSettings
from isthmus.head.placement import Local, Offload, Split
from isthmus.head.sink import Callback
from isthmus.head.sources.paced import Paced
from isthmus.head.thrift import Thrift, ThriftSettings

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]
WAIT_S = 20


class Run:
    """An agent with its ledger, and what came of it."""

    def __init__(self, bundle, source, *, placement=None, deadline_s=None, on_record=None, labels=None, link=None, **options):
        self.records = []
        task = Task() if labels is None else Task(kind="classification", labels=labels)
        self.ledger = Ledger(
            bundle.manifest.model_copy(update={"task": task}),
            device_id="camera",
            deadline_s=deadline_s,
            sinks=[Callback(self.records.append), Callback(on_record or (lambda _record: None))],
            session=(lambda: link.session) if link else bytes,
        )
        placement = placement or (Split(bundle) if link else Local(bundle))
        options = {"drop_policy": "wait", "finish_s": WAIT_S, **options}
        self.agent = Agent(source=source, placement=placement, ledger=self.ledger, link=link, **options)

    def go(self):
        return self.agent.run()

    @property
    def fates(self):
        return [record.reason or "answered" for record in sorted(self.records, key=lambda record: record.sequence)]


def assert_every_frame_once(run, count, *, first=0):
    summary = run.ledger.summary
    assert sorted(record.sequence for record in run.records) == list(range(first, first + count))
    assert summary.frames == count == summary.answered + sum(summary.dropped.values())


@pytest.mark.parametrize("placement", ["local", "split", "offload"])
def test_every_picture_of_a_folder_is_answered(tiny_bundle, serve, connect, pictures, placement):
    link = None if placement == "local" else connect(serve().address)
    chosen = {"local": Local(tiny_bundle), "split": Split(tiny_bundle), "offload": Offload()}[placement]
    run = Run(tiny_bundle, pictures(20), link=link, placement=chosen, labels=tuple("abcde"))
    assert run.go().answered == 20
    assert_every_frame_once(run, 20)
    assert {record.placement for record in run.records} == {placement}
    assert all(record.classification and record.latency_s > 0 for record in run.records)
    assert all(bool(record.payload_bytes) == (placement != "local") for record in run.records)


def test_pictures_for_a_server_that_takes_none_end_the_run(make_tiny_bundle, serve, connect, pictures):
    bundle = make_tiny_bundle(without=("whole.onnx",))
    run = Run(bundle, pictures(3), link=connect(serve(bundle).address, bundle=bundle), placement=Offload())
    with pytest.raises(
        ConfigError, match=r"takes no pictures of bundle 'tiny': the bundle has no whole\.onnx.*--placement split"
    ):
        run.go()
    assert set(run.fates) <= {"stopped"}


def test_the_stages_of_a_split_frame_do_not_overlap(tiny_bundle, serve, connect, pictures):
    run = Run(tiny_bundle, pictures(5), link=connect(serve().address))
    run.go()
    for record in run.records:
        assert {"wait", "prepare", "head", "encode", "network", "server compute"} <= set(record.stages_s)
        assert sum(record.stages_s.values()) <= record.latency_s * 1.01
        assert record.session


def test_split_and_local_say_the_same(tiny_bundle, serve, connect, pictures):
    runs = [Run(tiny_bundle, pictures(10), link=link, labels=tuple("abcde")) for link in (None, connect(serve().address))]
    labels = []
    for run in runs:
        run.go()
        labels.append([record.classification.label for record in sorted(run.records, key=lambda record: record.sequence)])
    assert labels[0] == labels[1]


@pytest.fixture
def any_placement(tiny_bundle, serve, connect):
    """A function that gives placement and link by name, and the next free sequence numbers of that link."""
    link = connect(serve().address)
    made = {"local": Local(tiny_bundle), "split": Split(tiny_bundle, point=1), "offload": Offload()}
    used = [0]

    def choose(name, count):
        used[0] += count
        return made[name], None if name == "local" else link, used[0] - count

    return choose


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 12),
    placement=st.sampled_from(["local", "split", "offload"]),
    policy=st.sampled_from(["drop-oldest", "drop-latest", "wait"]),
    deadline_s=st.sampled_from([None, 0.0, 0.002, 5000.0]),
    gated=st.booleans(),
    stop_at=st.none() | st.integers(0, 12),
)
def test_every_frame_has_exactly_one_record(
    tiny_bundle, any_placement, pictures, count, placement, policy, deadline_s, gated, stop_at
):
    chosen, link, first = any_placement(placement, count)
    read = []

    def before(sequence):
        read.append(sequence)
        if stop_at is not None and sequence - first == stop_at:
            run.agent.stop()

    source = pictures(count, first=first, before=before)
    gate = MotionGate() if gated else None
    run = Run(tiny_bundle, source, placement=chosen, link=link, drop_policy=policy, deadline_s=deadline_s, gate=gate)
    run.go()
    assert_every_frame_once(run, len(read), first=first)
    if stop_at is None:
        assert len(read) == count
    if deadline_s == 0.0:
        assert run.ledger.summary.answered == 0


def test_a_still_scene_is_dropped_by_the_gate(tiny_bundle, pictures):
    class Still(pictures):
        def read(self):
            frame = super().read()
            if frame is not None:
                frame.image[:] = 90
            return frame

    run = Run(tiny_bundle, Still(60), gate=MotionGate())
    assert run.go().dropped["gate"] > 30
    assert_every_frame_once(run, 60)


def test_a_hot_device_leaves_frames_out_and_says_so(tiny_bundle, pictures):
    thrift = Thrift(ThriftSettings(hot_c=70.0), lambda: Readings(temperature_c=75.0))
    thrift.look()
    run = Run(tiny_bundle, pictures(10), thrift=thrift)
    assert (run.go().answered, run.ledger.summary.dropped) == (5, {"spared": 5})
    assert {record.detail for record in run.records if record.reason} == {"1 of 2 frames is taken: 75 degrees"}
    assert_every_frame_once(run, 10)


def test_an_agent_lives_while_it_waits_and_not_while_it_hangs(tiny_bundle, pictures, monkeypatch):
    run = Run(tiny_bundle, pictures(1))
    assert run.agent.lives
    monkeypatch.setattr("isthmus.head.agent.STALLED_S", 0.0)
    assert not run.agent.lives


def test_a_frame_that_is_too_old_is_neither_computed_nor_sent(tiny_bundle, serve, connect, pictures):
    run = Run(tiny_bundle, pictures(4), link=connect(serve().address), deadline_s=0.0)
    assert run.go().dropped == {"deadline": 4}
    assert not any("head" in record.stages_s for record in run.records)


def test_on_a_slow_link_the_newest_frame_wins_and_the_last_is_answered(tiny_bundle, serve, connect, pictures):
    with run_in_thread(serve().address, profiles.parse("unlimited/100ms")) as shaper:
        link = connect(shaper.address)
        run = Run(tiny_bundle, Paced(pictures(60), 100), link=link, drop_policy="drop-oldest")
        summary = run.go()
        link.close()
    assert_every_frame_once(run, 60)
    assert summary.dropped.keys() == {"newer"}
    assert summary.dropped["newer"] > summary.answered
    assert run.fates[-1] == "answered"


def test_without_a_link_frames_are_dropped_when_the_run_ends(tiny_bundle, pictures):
    with Link(tiny_bundle, ["127.0.0.1:1"], device_id="camera") as link:
        run = Run(tiny_bundle, pictures(5), link=link, drop_policy="drop-oldest", finish_s=0.2)
        summary = run.go()
    assert summary.dropped == {"newer": 4, "link": 1}
    assert_every_frame_once(run, 5)


def test_a_server_with_another_bundle_ends_the_run(tiny_bundle, make_tiny_bundle, serve, pictures):
    address = serve(make_tiny_bundle(seed=3)).address
    with Link(tiny_bundle, [address], device_id="camera") as link:
        run = Run(tiny_bundle, pictures(5), link=link)
        with pytest.raises(ContractMismatch, match="same bundle"):
            run.go()


def test_an_outage_in_mid_run_is_survived_without_a_loss(tiny_bundle, serve, connect, pictures):
    with run_in_thread(serve().address, profiles.parse("unlimited/4ms")) as shaper:
        link = connect(shaper.address)

        def lose(sequence):
            if sequence == 10:
                shaper.set_up(False)
                threading.Timer(0.3, shaper.set_up, [True]).start()

        run = Run(tiny_bundle, pictures(30, before=lose), link=link)
        assert run.go().answered == 30
        link.close()
    assert_every_frame_once(run, 30)


def test_frames_in_flight_at_a_break_are_dropped_once_and_the_session_goes_on(tiny_bundle, serve, connect, pictures):
    with run_in_thread(serve().address, profiles.parse("unlimited/4ms")) as shaper:
        link = connect(shaper.address)

        def come_back():
            shaper.reset()
            shaper.set_up(True)

        def lose(sequence):
            if sequence == 10:
                shaper.set_up(False)
                threading.Timer(0.3, come_back).start()

        run = Run(tiny_bundle, pictures(30, before=lose), link=link)
        summary = run.go()
        link.close()
    assert_every_frame_once(run, 30)
    assert summary.dropped.keys() == {"link"}
    assert 1 <= summary.dropped["link"] <= 4
    assert {record.session for record in run.records} == {link.session.hex()}


def test_a_server_that_restarts_in_mid_run_costs_what_was_in_flight(tiny_bundle, serve, connect, pictures):
    tail = serve()
    link = connect(tail.address)

    def restart(sequence):
        if sequence == 10:
            tail.stop()
            serve(grpc_port=tail.port)

    run = Run(tiny_bundle, pictures(30, before=restart), link=link)
    summary = run.go()
    assert_every_frame_once(run, 30)
    assert set(summary.dropped) <= {"link"}
    assert summary.dropped["link"] <= 4
    assert run.fates[15:] == ["answered"] * 15
    assert len({record.session for record in run.records}) == 2


def test_a_server_that_drains_in_mid_run_answers_what_it_has(tiny_bundle, serve, connect, pictures):
    tails = {tail.address: tail for tail in (serve(), serve())}
    link = connect(*tails)
    leaving = tails[link.addresses[0]]
    drain = {10: lambda: leaving.stop(grace_s=WAIT_S)}
    run = Run(tiny_bundle, pictures(30, before=lambda sequence: drain.get(sequence, lambda: None)()), link=link)
    # One frame may have taken its credit when the stream ended.
    assert run.go().answered >= 29
    assert_every_frame_once(run, 30)


def test_answers_that_do_not_come_are_dropped_when_the_patience_is_over(tiny_bundle, peer, connect, pictures):
    def silent(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=5))
        list(requests)

    run = Run(tiny_bundle, pictures(3), link=connect(peer(silent)), finish_s=0.3)
    assert run.go().dropped == {"link": 3}
    assert_every_frame_once(run, 3)


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
def test_an_answer_without_sound_outputs_is_a_drop_that_says_why(tiny_bundle, peer, connect, pictures, answer, reason, words):
    run = Run(tiny_bundle, pictures(3), link=connect(peer(answering(answer))), labels=tuple("abcde"))
    assert run.go().dropped == {reason: 3}
    assert all(words in record.detail for record in run.records)
    assert_every_frame_once(run, 3)


def test_a_peer_that_answers_twice_breaks_the_stream_and_not_the_agent(tiny_bundle, peer, connect, pictures):
    twice = answering({"status": wire.STATUS_FAILED}, {"status": wire.STATUS_FAILED})
    run = Run(tiny_bundle, pictures(6), link=connect(peer(twice)))
    run.go()
    assert set(run.ledger.summary.dropped) <= {"server", "link"}
    assert_every_frame_once(run, 6)


@pytest.mark.parametrize("linked", [False, True])
def test_a_sink_that_fails_ends_the_run_with_its_error(tiny_bundle, serve, connect, pictures, linked):
    def fail(record):
        if record.sequence == 3:
            raise OSError("the disk is gone")

    run = Run(tiny_bundle, pictures(10_000), link=connect(serve().address) if linked else None, on_record=fail)
    with pytest.raises(OSError, match="the disk is gone"):
        run.go()
    assert run.ledger.summary.frames < 10_000


@pytest.mark.parametrize("error", [SourceError("the camera is gone"), ValueError("a bug of a source")], ids=["ours", "foreign"])
def test_a_source_that_fails_ends_the_run_with_its_error(tiny_bundle, pictures, error):
    def before(sequence):
        if sequence == 4:
            raise error

    run = Run(tiny_bundle, pictures(10, before=before))
    with pytest.raises(type(error), match=str(error)):
        run.go()
    assert run.fates == ["answered"] * 4


def test_a_stopped_run_ends_though_its_source_never_does(tiny_bundle, serve, connect, pictures):
    run = Run(
        tiny_bundle,
        pictures(1_000_000, before=lambda sequence: sequence == 50 and run.agent.stop()),
        link=connect(serve().address),
    )
    # The frame that is read at that moment may come too late.
    assert run.go().answered >= 50
    assert_every_frame_once(run, 51)


def test_a_stopped_run_does_not_wait_for_a_source_that_hangs(tiny_bundle, serve, connect, pictures):
    release = threading.Event()

    def hang(sequence):
        if sequence == 2:
            run.agent.stop()
            release.wait(WAIT_S)

    run = Run(tiny_bundle, pictures(3, before=hang), link=connect(serve().address), finish_s=0.2)
    started = time.monotonic()
    assert run.go().answered == 2
    release.set()
    assert time.monotonic() - started < WAIT_S


def test_a_stopped_run_wakes_a_source_that_waits(tiny_bundle, pictures):
    class Waiting(pictures):
        woken = threading.Event()

        def interrupt(self):
            self.woken.set()

        def read(self):
            frame = super().read()
            if frame.sequence == 2:
                run.agent.stop()
                assert self.woken.wait(WAIT_S)
                return None
            return frame

    run = Run(tiny_bundle, Waiting(3), finish_s=600)
    assert run.go().answered == 2


def test_a_stopped_run_does_not_wait_for_a_link_that_is_down(tiny_bundle, pictures):
    with Link(tiny_bundle, ["127.0.0.1:1"], device_id="camera", settings=LinkSettings(connect_timeout_s=1)) as link:
        run = Run(tiny_bundle, pictures(9, before=lambda sequence: sequence == 1 and run.agent.stop()), link=link, finish_s=600)
        assert sum(run.go().dropped.values()) == 2
    assert_every_frame_once(run, 2)


def test_a_sender_without_a_link_is_a_config_error(tiny_bundle, pictures):
    with pytest.raises(ConfigError, match="split needs a link"):
        Run(tiny_bundle, pictures(1), placement=Split(tiny_bundle))


def test_the_images_of_a_run_are_those_of_the_source(tiny_bundle, pictures):
    run = Run(tiny_bundle, pictures(3))
    run.go()
    assert [record.name for record in run.records] == ["0.png", "1.png", "2.png"]
    assert all(np.isfinite(record.latency_s) for record in run.records)
