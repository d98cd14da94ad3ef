import pytest

from isthmus.contract.bundle import open_bundle
from isthmus.errors import BundleError, DeviceError, Overloaded
from isthmus.head.update.from_file import FileSource
from isthmus.head.update.from_web import WebSource
from isthmus.head.update.rehearsal import Refused
from isthmus.head.update.state import UpdateState


class Rehearsals(list):
    """Every rehearsal passes; what was rehearsed."""

    def rehearse(self, archive, **_asked):
        self.append(archive)


@pytest.fixture
def rehearsed():
    return Rehearsals()


def refuse(*, lasting):
    def rehearse(_archive, **_asked):
        raise Refused("it will not do", lasting=lasting)

    return rehearse


def test_a_new_bundle_is_fetched_rehearsed_and_ready(staging, store, web, make_release, running, digest_of):
    path = web.put(make_release())
    found = staging().take(WebSource(f"{web.address}/b.isthmus"), running)
    assert (found.kind, found.digest, store.read().next) == ("ready", digest_of(path), digest_of(path))
    assert store.archive(found.digest).read_bytes() == path.read_bytes()
    assert not store.part.exists()


def test_what_runs_already_is_not_fetched_again(staging, store, web, make_release, running, rehearsed, digest_of):
    path = web.put(make_release())
    source = WebSource(f"{web.address}/b.isthmus")
    store.change(lambda state: state.stage(digest_of(path)).begin())
    taking = staging(rehearse=rehearsed.rehearse)
    assert [taking.take(source, running).kind for _ in range(2)] == ["nothing new", "nothing new"]
    # The first time nobody knew what the tag stands for.
    assert [method for method, _ in web.seen] == ["HEAD", "GET", "HEAD"]
    assert rehearsed == []


def test_what_is_ready_is_not_fetched_again(staging, web, make_release, running, rehearsed):
    web.put(make_release())
    source = WebSource(f"{web.address}/b.isthmus")
    taking = staging(rehearse=rehearsed.rehearse)
    assert [taking.take(source, running).words.split()[-1] for _ in range(2)] == ["ready", "already"]
    assert len(rehearsed) == 1


def test_the_bundle_of_the_server_that_runs_here_is_known_by_its_manifest(staging, store, make_tiny_bundle, running, serve):
    from isthmus.head.update.boot import manifest_sha256
    from isthmus.head.update.from_tail import TailSource

    bundle = make_tiny_bundle()
    running = type(running)(edition=running.edition, manifest_sha256=manifest_sha256(bundle.folder))
    assert staging().take(TailSource([serve(bundle).address], bundle="tiny"), running).kind == "nothing new"
    assert list((store.folder / "bundles").iterdir()) == []


def test_a_bundle_that_will_not_do_is_not_taken_again(staging, store, web, make_release, running, digest_of):
    path = web.put(make_release())
    source, taking = WebSource(f"{web.address}/b.isthmus"), staging(rehearse=refuse(lasting=True))
    with pytest.raises(Refused, match="it will not do"):
        taking.take(source, running)
    assert store.read().rejected == {digest_of(path): "it will not do"}
    assert list((store.folder / "bundles").iterdir()) == []
    # Another agent, after a restart.
    found = staging().take(source, running)
    assert (found.kind, found.words) == ("refused before", "not taken again: it will not do")
    assert staging().take(source, running, again=True).kind == "ready"
    assert store.read().rejected == {}


def test_a_bundle_whose_key_is_not_trusted_is_tried_again_after_a_restart_only(staging, store, web, make_release, running):
    web.put(make_release())
    source, taking = WebSource(f"{web.address}/b.isthmus"), staging(rehearse=refuse(lasting=False))
    with pytest.raises(Refused):
        taking.take(source, running)
    assert (taking.take(source, running).kind, store.read().rejected) == ("refused before", {})
    assert staging().take(source, running).kind == "ready"


def test_an_archive_that_was_whole_before_the_power_went_is_not_fetched_again(staging, store, web, make_release, running):
    web.put(make_release())
    source = WebSource(f"{web.address}/b.isthmus")

    def power_cut(_archive, **_asked):
        raise DeviceError("the lights are out")

    with pytest.raises(DeviceError):
        staging(rehearse=power_cut).take(source, running)
    assert staging().take(source, running).kind == "ready"
    assert [method for method, _ in web.seen] == ["HEAD", "GET", "HEAD"]


def test_a_part_that_a_power_cut_spoiled_is_fetched_anew(staging, store, web, make_release, running):
    path = web.put(make_release())
    source, taking = WebSource(f"{web.address}/b.isthmus"), staging()
    web.break_after = 5000
    with pytest.raises(Exception, match=r"ended after|stopped in"):
        taking.take(source, running)
    web.break_after = None
    store.part.write_bytes(bytes(5000))
    with pytest.raises(BundleError):
        taking.take(source, running)
    assert taking.take(source, running).kind == "ready"
    assert open_bundle(path).manifest.version == "2"


def test_two_updates_at_once_are_told(staging, store, web, make_release, running):
    web.put(make_release())
    with store.alone(), pytest.raises(DeviceError, match="another update is under way"):
        staging().take(WebSource(f"{web.address}/b.isthmus"), running)


def test_a_read_only_folder_is_told_and_nothing_changes(staging, store, make_release, running, rehearsed, monkeypatch):
    def read_only(*_arguments, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("isthmus.contract.small_file.put", read_only)
    with pytest.raises(DeviceError, match="Read-only file system; nothing was changed, what runs goes on"):
        staging(rehearse=rehearsed.rehearse).take(FileSource(make_release()), running)
    assert store.read() == UpdateState()


def test_a_transfer_that_has_to_make_room_goes_on_after_the_pause(staging, store, make_release, running, rehearsed):
    waited = []

    class Busy(FileSource):
        turns = 2

        def open(self, held, offset):
            if self.turns:
                self.turns -= 1
                raise Overloaded("others have a turn", retry_after_ms=5000)
            return super().open(held, offset)

    taking = staging(rehearse=rehearsed.rehearse, wait=lambda seconds: waited.append(seconds) or False)
    assert taking.take(Busy(make_release()), running).kind == "ready"
    assert waited[:2] == [5.0, 5.0]
