import pytest

from isthmus.contract.trust import read_trusted
from isthmus.errors import BundleError
from isthmus.head.update.boot import STARTS_MAX, choose, manifest_sha256
from isthmus.head.update.state import FACTORY


@pytest.fixture
def put(store, make_release, digest_of):
    """A function that puts a release among the archives; its digest."""

    def run(version, **options):
        path = make_release(version, **options)
        store.archive(digest_of(path)).write_bytes(path.read_bytes())
        return digest_of(path)

    return run


@pytest.fixture
def start(store, make_release, trust):
    """A function that starts as the agent does, set up with version 1; the version that runs."""
    return lambda factory=None: choose(store, factory or make_release("1"), read_trusted(trust)).bundle.manifest.version


def test_without_updates_the_bundle_of_the_factory_runs(start, store):
    assert (start(), store.read().current) == ("1", FACTORY)


def test_what_was_gone_over_to_runs(start, store, put):
    start()
    store.change(lambda state: state.stage(put("2")).begin().confirm())
    assert [start(), start()] == ["2", "2"]


def test_a_bundle_that_is_ready_waits_for_the_agent_to_go_over(start, store, put):
    start()
    store.change(lambda state: state.stage(put("2")))
    assert start() == "1"
    assert store.archive(store.read().next).exists()


def test_a_bundle_on_trial_that_never_proves_itself_is_given_up(start, store, put):
    start()
    digest = put("2")
    store.change(lambda state: state.stage(digest).begin())
    assert [start() for _ in range(STARTS_MAX + 1)] == ["2"] * (STARTS_MAX - 1) + ["1", "1"]
    assert store.read().rejected == {digest: "the agent began 3 times with it, and it never proved itself"}
    assert not store.archive(digest).exists()


def test_a_look_beside_an_agent_that_runs_is_no_start(start, store, put, make_release, trust):
    start()
    digest = put("2")
    store.change(lambda state: state.stage(digest).begin())
    for _ in range(5):
        choose(store, make_release("1"), read_trusted(trust), counts=False)
    assert (store.read().current, store.read().trial_starts) == (digest, 1)


@pytest.mark.parametrize("rest", [None, b"x", b""], ids=["gone", "cut", "empty"])
def test_a_bundle_that_is_damaged_gives_way_to_what_ran_before(start, store, put, rest):
    def damage(path):
        path.unlink()
        if rest is not None:
            path.write_bytes(rest)

    start()
    store.change(lambda state: state.stage(put("2")).begin().confirm())
    store.change(lambda state: state.stage(put("3")).begin().confirm())
    damage(store.archive(store.read().current))
    assert [start(), start()] == ["2", "2"]
    damage(store.archive(store.read().current))
    assert [start(), start()] == ["1", "1"]


def test_a_spoiled_copy_of_the_content_is_made_anew(start, store, put):
    start()
    digest = put("2")
    store.change(lambda state: state.stage(digest).begin().confirm())
    start()
    (store.cache / "bundles" / digest / "head.onnx").write_bytes(b"")
    assert start() == "2"


def test_what_is_not_signed_never_runs(start, store, put):
    start()
    store.change(lambda state: state.stage(put("2", key=2)).begin().confirm())
    assert start() == "1"


def test_without_any_bundle_that_is_sound_nothing_runs(start, store, put, tmp_path):
    with pytest.raises(BundleError, match="there is no bundle at"):
        start(tmp_path / "gone.isthmus")


def test_an_update_runs_even_where_the_bundle_of_the_factory_is_gone(start, store, put, tmp_path):
    start()
    store.change(lambda state: state.stage(put("2")).begin().confirm())
    assert start(tmp_path / "gone.isthmus") == "2"


def test_whoever_sets_the_agent_up_anew_gets_what_they_gave(start, store, put, make_release):
    start()
    store.change(lambda state: state.stage(put("2")).begin().confirm())
    assert start(make_release("3")) == "3"
    assert store.read().current == FACTORY


def test_a_disk_that_takes_nothing_is_no_reason_not_to_run(start, store, put, monkeypatch):
    start()
    store.change(lambda state: state.stage(put("2")).begin())
    start()

    def read_only(*_arguments, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("isthmus.contract.small_file.put", read_only)
    assert start() == "2"


def test_a_full_disk_says_nothing_against_a_bundle(start, store, put, monkeypatch):
    start()
    digest = put("2")
    store.change(lambda state: state.stage(digest).begin().confirm())
    store.cache.write_text("a file where a folder should be")
    assert start() == "1"
    store.cache.unlink()
    assert start() == "2"


def test_manifests_are_told_apart_without_opening_the_bundle(make_release, tmp_path):
    assert manifest_sha256(make_release("1")) != manifest_sha256(make_release("2"))
    assert manifest_sha256(tmp_path / "nothing") == ""
