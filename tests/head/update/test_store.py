import pytest

from isthmus.errors import ConfigError, DeviceError
from isthmus.head.update.state import UpdateState
from isthmus.head.update.store import Incoming, UpdateStore

A, B = "a" * 64, "b" * 64


def test_a_state_is_there_again(store):
    store.change(lambda state: state.stage(A))
    assert UpdateStore(store.folder).read().next == A


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"current": 5}', bytes(1 << 20), b'{"schema_version": 9}'])
def test_a_damaged_state_counts_as_none(store, damage):
    store.change(lambda state: state.stage(A))
    (store.folder / "state.json").write_bytes(damage)
    assert store.read() == UpdateState()
    assert store.change(lambda state: state.stage(B)).next == B


def test_a_change_is_seen_from_outside(store):
    numbers = {store.changed_at()}
    for step in (lambda state: state.stage(A), UpdateState.begin, UpdateState.confirm):
        store.change(step)
        numbers.add(store.changed_at())
    assert len(numbers) == 4


def test_two_who_update_at_once_are_kept_apart(store):
    with store.alone(), pytest.raises(DeviceError, match="another update is under way"), UpdateStore(store.folder).alone():
        pass
    with store.alone():
        pass


def test_a_part_without_its_description_is_not_gone_on_with(store):
    store.expect(Incoming(size_bytes=9, tag="t"))
    assert store.incoming() == Incoming(size_bytes=9, tag="t")
    (store.folder / "incoming.json").write_text("{")
    assert store.incoming() is None


def test_what_no_state_needs_is_removed(store):
    for digest in (A, B):
        store.archive(digest).write_bytes(b"archive")
        (store.cache / "bundles" / digest).mkdir(parents=True)
    (store.cache / "bundles/.unpack-x").mkdir()
    store.change(lambda state: state.stage(B))
    store.prune()
    assert [path.name for path in (store.folder / "bundles").iterdir()] == [f"{B}.isthmus"]
    assert [path.name for path in (store.cache / "bundles").iterdir()] == [B]


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be written: Not a directory; name another with --update-folder"):
        UpdateStore(tmp_path / "file/updates").prepare()


def test_a_state_that_cannot_be_written_stays_as_it_was(store, monkeypatch):
    store.change(lambda state: state.stage(A))

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("isthmus.contract.small_file.put", full)
    with pytest.raises(DeviceError, match="No space left on device; nothing was changed"):
        store.change(UpdateState.begin)
    assert store.read().next == A


def test_an_update_that_does_not_fit_is_refused_before_it_begins(store):
    with pytest.raises(DeviceError, match=r"the update needs .* MB are free"):
        store.check_room(1 << 60)
