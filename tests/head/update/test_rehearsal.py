"""The rehearsal is a real process with a real onnxruntime."""

import os
import signal
import sys

import pytest

from isthmus.errors import DeviceError
from isthmus.head.update import rehearsal
from isthmus.head.update.precedence import Edition
from isthmus.head.update.rehearsal import Part, Refused, rehearse

NOW = Edition(id="tiny", version="1", created="")


@pytest.fixture
def run(tmp_path, trust):
    """A function that rehearses an archive."""

    def go(archive, *, part=None, running=NOW, downgrade=False, **options):
        part = part or Part(trust=str(trust))
        rehearse(archive, cache=tmp_path / "unpacked", part=part, running=running, downgrade=downgrade, **options)

    return go


@pytest.mark.parametrize("placement", ["split", "local", "offload"])
def test_a_sound_bundle_passes(run, make_release, trust, placement):
    run(make_release(), part=Part(placement=placement, trust=str(trust)))


def damaged(path, tmp_path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    copy = tmp_path / "damaged.isthmus"
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize(
    ("make", "lasting", "words"),
    [
        (lambda make, tmp: make(key=0), False, "is not signed; a signature by"),
        (lambda make, tmp: make(key=2), False, "is signed by"),
        (lambda make, tmp: make(spoiled=True), True, "fails the gate 'head codes'"),
        (lambda make, tmp: damaged(make(), tmp), True, "is not a bundle or is truncated"),
        (lambda make, tmp: make("1", seed=5, name="cups"), False, "is bundle 'cups'"),
    ],
)
def test_what_will_not_do_is_refused(run, make_release, tmp_path, make, lasting, words):
    with pytest.raises(Refused, match=words) as caught:
        run(make(make_release, tmp_path))
    assert caught.value.lasting is lasting


def test_garbage_is_refused(run, tmp_path):
    (tmp_path / "garbage.isthmus").write_bytes(os.urandom(5000))
    with pytest.raises(Refused, match="is not a bundle or is truncated"):
        run(tmp_path / "garbage.isthmus")


def test_an_older_one_needs_to_be_asked_for(run, make_release):
    newer = Edition(id="tiny", version="3", created="")
    with pytest.raises(Refused, match="is older than what runs") as caught:
        run(make_release("2"), running=newer)
    assert not caught.value.lasting
    run(make_release("2"), running=newer, downgrade=True)


def test_a_bundle_that_takes_too_long_is_refused(run, make_release):
    with pytest.raises(Refused, match=r"not through its golden frames after 0\.01 s"):
        run(make_release(), timeout_s=0.01)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [(signal.SIGILL, Refused, "crashes here with SIGILL"), (signal.SIGKILL, DeviceError, "is memory short")],
)
def test_a_process_that_dies_is_told_from_one_that_is_killed(run, make_release, tmp_path, monkeypatch, number, kind, words):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nkill -{int(number)} $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(kind, match=words):
        run(make_release())


def test_a_disk_without_room_is_no_fault_of_the_bundle(run, make_release, tmp_path):
    (tmp_path / "unpacked").write_text("a file where a folder should be")
    with pytest.raises(DeviceError, match="cannot unpack"):
        run(make_release())


def test_keys_that_cannot_be_read_are_no_fault_of_the_bundle(run, make_release, tmp_path):
    with pytest.raises(DeviceError, match="nothing-here"):
        run(make_release(), part=Part(trust=str(tmp_path / "nothing-here")))


def test_a_process_that_says_nothing_is_told(run, make_release, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DeviceError, match="could not be run: it said nothing"):
        run(make_release())
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(DeviceError, match="no process can be started"):
        run(make_release())


def test_it_gives_way_to_the_frames():
    assert rehearsal.NICE >= 10


def test_a_rehearsal_ends_with_the_agent(run, make_release):
    with pytest.raises(DeviceError, match="were stopped with the agent"):
        run(make_release(), given_up=lambda: True)
