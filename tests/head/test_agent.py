import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.devices import link as profiles
from isthmus.devices.sensors import Readings
from isthmus.devices.shaper_thread import run_in_thread
from isthmus.errors import ConfigError, SourceError
from isthmus.head.gate import MotionGate
from isthmus.head.link import Link
from isthmus.head.placement import Local, Offload, Split
from isthmus.head.search import LinkSettings
from isthmus.head.sources.paced import Paced
from isthmus.head.thrift import Thrift, ThriftSettings

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]


@pytest.mark.parametrize("placement", ["local", "split", "offload"])
def test_every_picture_of_a_folder_is_answered(agent_run, tiny_bundle, serve, connect, pictures, placement):
    link = None if placement == "local" else connect(serve().address)
    chosen = {"local": Local(tiny_bundle), "split": Split(tiny_bundle), "offload": Offload()}[placement]
    run = agent_run(tiny_bundle, pictures(20), link=link, placement=chosen, labels=tuple("abcde"))
    assert run.go().answered == 20
    run.assert_every_frame_once(20)
    assert {record.placement for record in run.records} == {placement}
    assert all(record.classification and record.latency_s > 0 for record in run.records)
    assert all(bool(record.payload_bytes) == (placement != "local") for record in run.records)


def test_pictures_for_a_server_that_takes_none_end_the_run(agent_run, make_tiny_bundle, serve, connect, pictures):
    bundle = make_tiny_bundle(without=("whole.onnx",))
    run = agent_run(bundle, pictures(3), link=connect(serve(bundle).address, bundle=bundle), placement=Offload())
    with pytest.raises(
        ConfigError, match=r"takes no pictures of bundle 'tiny': the bundle has no whole\.onnx.*--placement split"
    ):
        run.go()
    assert set(run.fates) <= {"stopped"}


def test_the_stages_of_a_split_frame_do_not_overlap(agent_run, tiny_bundle, serve, connect, pictures):
    run = agent_run(tiny_bundle, pictures(5), link=connect(serve().address))
    run.go()
    for record in run.records:
        assert {"wait", "prepare", "head", "encode", "network", "server compute"} <= set(record.stages_s)
        assert sum(record.stages_s.values()) <= record.latency_s * 1.01
        assert record.session


def test_split_and_local_say_the_same(agent_run, tiny_bundle, serve, connect, pictures):
    runs = [agent_run(tiny_bundle, pictures(10), link=link, labels=tuple("abcde")) for link in (None, connect(serve().address))]
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


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 12),
    placement=st.sampled_from(["local", "split", "offload"]),
    policy=st.sampled_from(["drop-oldest", "drop-latest", "wait"]),
    deadline_s=st.sampled_from([None, 0.0, 0.002, 5000.0]),
    gated=st.booleans(),
    stop_at=st.none() | st.integers(0, 12),
)
def test_every_frame_has_exactly_one_record(
    agent_run, tiny_bundle, any_placement, pictures, count, placement, policy, deadline_s, gated, stop_at
):
    chosen, link, first = any_placement(placement, count)
    read = []

    def before(sequence):
        read.append(sequence)
        if stop_at is not None and sequence - first == stop_at:
            run.agent.stop()

    source = pictures(count, first=first, before=before)
    gate = MotionGate() if gated else None
    run = agent_run(tiny_bundle, source, placement=chosen, link=link, drop_policy=policy, deadline_s=deadline_s, gate=gate)
    run.go()
    run.assert_every_frame_once(len(read), first=first)
    if stop_at is None:
        assert len(read) == count
    if deadline_s == 0.0:
        assert run.ledger.summary.answered == 0


def test_a_still_scene_is_dropped_by_the_gate(agent_run, tiny_bundle, pictures):
    class Still(pictures):
        def read(self):
            frame = super().read()
            if frame is not None:
                frame.image[:] = 90
            return frame

    run = agent_run(tiny_bundle, Still(60), gate=MotionGate())
    assert run.go().dropped["gate"] > 30
    run.assert_every_frame_once(60)


def test_a_hot_device_leaves_frames_out_and_says_so(agent_run, tiny_bundle, pictures):
    thrift = Thrift(ThriftSettings(hot_c=70.0), lambda: Readings(temperature_c=75.0))
    thrift.look()
    run = agent_run(tiny_bundle, pictures(10), thrift=thrift)
    assert (run.go().answered, run.ledger.summary.dropped) == (5, {"spared": 5})
    assert {record.detail for record in run.records if record.reason} == {"1 of 2 frames is taken: 75 degrees"}
    run.assert_every_frame_once(10)


def test_an_agent_lives_while_it_waits_and_not_while_it_hangs(agent_run, tiny_bundle, pictures, monkeypatch):
    run = agent_run(tiny_bundle, pictures(1))
    assert run.agent.lives
    monkeypatch.setattr("isthmus.head.agent.STALLED_S", 0.0)
    assert not run.agent.lives


def test_a_frame_that_is_too_old_is_neither_computed_nor_sent(agent_run, tiny_bundle, serve, connect, pictures):
    run = agent_run(tiny_bundle, pictures(4), link=connect(serve().address), deadline_s=0.0)
    assert run.go().dropped == {"deadline": 4}
    assert not any("head" in record.stages_s for record in run.records)


def test_on_a_slow_link_the_newest_frame_wins_and_the_last_is_answered(agent_run, tiny_bundle, serve, connect, pictures):
    with run_in_thread(serve().address, profiles.parse("unlimited/100ms")) as shaper:
        link = connect(shaper.address)
        run = agent_run(tiny_bundle, Paced(pictures(60), 100), link=link, drop_policy="drop-oldest")
        summary = run.go()
        link.close()
    run.assert_every_frame_once(60)
    assert summary.dropped.keys() == {"newer"}
    assert summary.dropped["newer"] > summary.answered
    assert run.fates[-1] == "answered"


@pytest.mark.parametrize("linked", [False, True])
def test_a_sink_that_fails_ends_the_run_with_its_error(agent_run, tiny_bundle, serve, connect, pictures, linked):
    def fail(record):
        if record.sequence == 3:
            raise OSError("the disk is gone")

    run = agent_run(tiny_bundle, pictures(10_000), link=connect(serve().address) if linked else None, on_record=fail)
    with pytest.raises(OSError, match="the disk is gone"):
        run.go()
    assert run.ledger.summary.frames < 10_000


@pytest.mark.parametrize("error", [SourceError("the camera is gone"), ValueError("a bug of a source")], ids=["ours", "foreign"])
def test_a_source_that_fails_ends_the_run_with_its_error(agent_run, tiny_bundle, pictures, error):
    def before(sequence):
        if sequence == 4:
            raise error

    run = agent_run(tiny_bundle, pictures(10, before=before))
    with pytest.raises(type(error), match=str(error)):
        run.go()
    assert run.fates == ["answered"] * 4


def test_a_stopped_run_ends_though_its_source_never_does(agent_run, tiny_bundle, serve, connect, pictures):
    run = agent_run(
        tiny_bundle,
        pictures(1_000_000, before=lambda sequence: sequence == 50 and run.agent.stop()),
        link=connect(serve().address),
    )
    # The frame that is read at that moment may come too late.
    assert run.go().answered >= 50
    run.assert_every_frame_once(51)


def test_a_stopped_run_does_not_wait_for_a_source_that_hangs(agent_run, tiny_bundle, serve, connect, pictures):
    release = threading.Event()

    def hang(sequence):
        if sequence == 2:
            run.agent.stop()
            release.wait(agent_run.WAIT_S)

    run = agent_run(tiny_bundle, pictures(3, before=hang), link=connect(serve().address), finish_s=0.2)
    started = time.monotonic()
    assert run.go().answered == 2
    release.set()
    assert time.monotonic() - started < agent_run.WAIT_S


def test_a_stopped_run_wakes_a_source_that_waits(agent_run, tiny_bundle, pictures):
    class Waiting(pictures):
        woken = threading.Event()

        def interrupt(self):
            self.woken.set()

        def read(self):
            frame = super().read()
            if frame.sequence == 2:
                run.agent.stop()
                assert self.woken.wait(agent_run.WAIT_S)
                return None
            return frame

    run = agent_run(tiny_bundle, Waiting(3), finish_s=600)
    assert run.go().answered == 2


def test_a_stopped_run_does_not_wait_for_a_link_that_is_down(agent_run, tiny_bundle, pictures):
    with Link(tiny_bundle, ["127.0.0.1:1"], device_id="camera", settings=LinkSettings(connect_timeout_s=1)) as link:
        run = agent_run(
            tiny_bundle, pictures(9, before=lambda sequence: sequence == 1 and run.agent.stop()), link=link, finish_s=600
        )
        assert sum(run.go().dropped.values()) == 2
    run.assert_every_frame_once(2)


def test_a_sender_without_a_link_is_a_config_error(agent_run, tiny_bundle, pictures):
    with pytest.raises(ConfigError, match="split needs a link"):
        agent_run(tiny_bundle, pictures(1), placement=Split(tiny_bundle))


def test_the_images_of_a_run_are_those_of_the_source(agent_run, tiny_bundle, pictures):
    run = agent_run(tiny_bundle, pictures(3))
    run.go()
    assert [record.name for record in run.records] == ["0.png", "1.png", "2.png"]
    assert all(np.isfinite(record.latency_s) for record in run.records)
