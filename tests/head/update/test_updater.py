"""An agent that answers frames goes over to a new bundle and back: real servers, real links, real networks."""

import threading
import time

import pytest

from isthmus.contract.bundle import open_bundle
from isthmus.errors import DeviceError
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Callback
from isthmus.head.sources.form import Form
from isthmus.head.update import updater
from isthmus.head.update.opening import open_updating
from isthmus.head.update.settings import UpdateSettings
from isthmus.head.update.state import FACTORY, UpdateState
from isthmus.tail.repository.folder import RepositoryFolder

WAIT_S = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(updater, "LOOK_S", 0.05)
    monkeypatch.setattr(updater, "RETRY_S", 0.2)


@pytest.fixture
def camera(tmp_path):
    """A program whose pictures never end."""
    program = tmp_path / "camera.py"
    program.write_text("import os, time\nwhile True:\n    os.write(1, os.urandom(32 * 32))\n    time.sleep(0.01)\n")
    return f"cmd:python {program}"


class Life:
    """An agent of the version 1, in a thread; `wait` waits for something to be true."""

    def __init__(self, factory, settings, updates):
        self.records = []
        self._factory, self._settings, self._updates = factory, settings, updates
        self._thread = threading.Thread(target=self._run)
        self._ready = threading.Event()
        self.error = None

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        if self.error:
            raise self.error
        return self

    def __exit__(self, *_):
        self.agent.stop()
        self._thread.join(WAIT_S)
        if self.error:
            raise self.error

    def _run(self):
        try:
            sinks = [Callback(self.records.append)]
            with open_updating(self._factory, self._settings, self._updates, sinks) as (self.agent, self.bundle, self.updater):
                self._ready.set()
                with self.updater:
                    self.agent.run()
        except Exception as error:
            self.error = error
            self._ready.set()

    def wait(self, condition):
        until = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < until, "it did not come true"
            assert self._thread.is_alive(), self.error
            time.sleep(0.02)

    @property
    def answered(self):
        return sum(not record.reason for record in self.records)

    def answers_more(self, count=5):
        before = self.answered
        self.wait(lambda: self.answered >= before + count)


@pytest.fixture
def repository(tmp_path, make_release):
    """A repository with version 1; `put` adds another."""

    def put(version, **options):
        folder = tmp_path / "repository/tiny" / version
        folder.mkdir(parents=True)
        (folder / "b.isthmus").write_bytes(make_release(version, **options).read_bytes())

    put("1")
    (tmp_path / "repository/tiny/serve.toml").write_text('versions = "all"\n')
    source = RepositoryFolder(path=tmp_path / "repository", mode="poll", poll_s=0.2)
    return source, put


@pytest.fixture
def live(camera, store, trust, make_release):
    """A function that makes the life of an agent set up with version 1."""

    def make(*tails, source="", **options):
        settings = AgentSettings(
            source=camera, tails=tails, gate=False, device_id="camera", connect_wait_s=5.0, form=_grey(), drop_policy="wait"
        )
        # Where nothing is looked for and nothing was ever taken, nothing watches the folder.
        store.change(lambda state: state)
        options = {"answers": 5, "patience_s": 0.5, "every_s": 0.2, "bytes_per_s": None, **options}
        updates = UpdateSettings(source=source, folder=store.folder, trust=trust, **options)
        return Life(make_release("1"), settings, updates)

    return make


def _grey():
    return Form(pixels="gray", size=(32, 32))


def assert_each_frame_once(life):
    sequences = sorted(record.sequence for record in life.records)
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


@pytest.mark.slow
def test_the_bundle_of_the_server_is_taken_while_frames_are_answered(live, serve, repository, store, make_release, digest_of):
    source, put = repository
    with live(serve(source).address, source="tail") as life:
        life.answers_more()
        put("2")
        life.wait(lambda: store.read().current != FACTORY and not store.read().on_trial)
        life.answers_more()
        assert life.updater.running.bundle.manifest.version == "2"
        assert 'isthmus_update_changes_total{step="confirmed"} 1' in life.updater.as_prometheus()
    assert store.read().previous == FACTORY
    assert_each_frame_once(life)
    # Not one frame was lost on the way: the link before stays until what it had in flight is answered.
    assert {record.reason for record in life.records} <= {"", "stopped"}


def stage(store, path, digest_of):
    """As `isthmus device update apply` leaves it."""
    store.archive(digest_of(path)).write_bytes(path.read_bytes())
    store.change(lambda state: state.stage(digest_of(path)))
    return digest_of(path)


@pytest.mark.slow
def test_a_bundle_that_no_server_has_yet_waits(live, serve, repository, store, make_release, digest_of):
    source, put = repository
    with live(serve(source).address) as life:
        digest = stage(store, make_release("2"), digest_of)
        life.answers_more(20)
        assert (store.read().current, store.read().next) == (FACTORY, digest)
        put("2")
        life.wait(lambda: store.read().current == digest)
        life.answers_more()


@pytest.mark.slow
def test_a_bundle_whose_frames_the_server_fails_on_is_rolled_back(
    live, serve, repository, store, make_release, make_tiny_bundle, digest_of, monkeypatch
):
    source, put = repository
    put("2")
    with live(serve(source).address) as life:
        life.answers_more()
        pack = type(life.agent.first_rig.placement).pack

        def spoiled(placement, picture, dialogue=None):
            outgoing = pack(placement, picture, dialogue)
            if placement is not life.agent.first_rig.placement:
                outgoing.capture.codes = b"\x01no payload"
            return outgoing

        monkeypatch.setattr(type(life.agent.first_rig.placement), "pack", spoiled)
        digest = stage(store, make_release("2"), digest_of)
        life.wait(lambda: store.read().rejected)
        life.answers_more()
        assert life.updater.running.name == FACTORY
    assert "had no answer; the last one: server" in store.read().rejected[digest]
    assert_each_frame_once(life)


@pytest.mark.slow
def test_a_bundle_that_ends_the_agents_work_is_rolled_back_and_the_agent_goes_on(
    live, serve, repository, store, make_release, digest_of, monkeypatch
):
    source, put = repository
    put("2")
    with live(serve(source).address) as life:
        life.answers_more()
        pack = type(life.agent.first_rig.placement).pack

        def crashing(placement, picture, dialogue=None):
            if placement is not life.agent.first_rig.placement:
                raise DeviceError("no memory for this operator")
            return pack(placement, picture, dialogue)

        monkeypatch.setattr(type(life.agent.first_rig.placement), "pack", crashing)
        digest = stage(store, make_release("2"), digest_of)
        life.wait(lambda: store.read().rejected)
        life.answers_more()
    assert store.read().rejected[digest] == "it ends the agent: no memory for this operator"
    assert_each_frame_once(life)


@pytest.mark.slow
def test_a_roll_back_by_hand_is_followed_between_two_frames(live, serve, repository, store, make_release, digest_of):
    source, put = repository
    put("2")
    with live(serve(source).address) as life:
        digest = stage(store, make_release("2"), digest_of)
        life.wait(lambda: store.read().current == digest and not store.read().on_trial)
        store.change(lambda state: state.roll_back("by hand"))
        life.wait(lambda: life.updater.running.name == FACTORY)
        life.answers_more()
    assert_each_frame_once(life)


@pytest.mark.slow
def test_a_device_that_answers_alone_is_updated_too(live, store, make_release, digest_of):
    life = live()
    object.__setattr__(life._settings, "placement", "local")
    with life:
        life.answers_more()
        digest = stage(store, make_release("2"), digest_of)
        life.wait(lambda: store.read().current == digest and not store.read().on_trial)
        life.answers_more()


@pytest.mark.slow
def test_a_device_that_was_away_while_its_server_went_on_catches_up_at_its_start(live, serve, store, make_release, digest_of):
    tail = serve(open_bundle(make_release("2")))
    with live(tail.address, source="tail") as life:
        life.answers_more()
        assert life.bundle.manifest.version == "2"
        life.wait(lambda: not store.read().on_trial)


@pytest.mark.slow
def test_a_bundle_on_trial_that_does_not_start_gives_way_at_once(live, serve, store, make_release, digest_of):
    tail = serve(open_bundle(make_release("1")))
    with live(tail.address):
        pass
    digest = stage(store, make_release("2"), digest_of)
    store.change(UpdateState.begin)
    with live(tail.address) as life:
        assert life.bundle.manifest.version == "1"
    assert "it does not start" in store.read().rejected[digest]


@pytest.mark.slow
def test_an_orderly_end_on_trial_is_not_held_against_the_bundle(live, serve, store, make_release, digest_of):
    tail = serve(open_bundle(make_release("2")))
    with live(serve(open_bundle(make_release("1"))).address):
        pass
    digest = stage(store, make_release("2"), digest_of)
    store.change(UpdateState.begin)
    for _ in range(4):
        with live(tail.address, answers=10_000) as life:
            assert life.bundle.manifest.version == "2"
    assert (store.read().current, store.read().rejected) == (digest, {})


def test_without_updates_there_is_no_folder(tmp_path, camera, make_release, trust):
    folder = tmp_path / "nothing"
    settings = AgentSettings(source=camera, placement="local", form=_grey())
    updates = UpdateSettings(folder=folder, trust=trust)
    with open_updating(make_release("1"), settings, updates) as (_, bundle, updating):
        assert (bundle.manifest.version, updating, folder.exists()) == ("1", None, False)


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_run(tmp_path, camera, make_release, trust):
    (tmp_path / "file").touch()
    settings = AgentSettings(source=camera, placement="local", form=_grey())
    updates = UpdateSettings(folder=tmp_path / "file/updates", source="https://example.org/b", trust=trust)
    with open_updating(make_release("1"), settings, updates) as (_, bundle, updating):
        assert (bundle.manifest.version, updating) == ("1", None)
