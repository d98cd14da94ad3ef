import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import namedtuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.errors import ConfigError, DeviceError
from isthmus.head.record import Identity
from isthmus.head.spool import DAMAGED_NAME, FILE_NAME, Spool

Usage = namedtuple("Usage", "free")


def identity(sequence, session="ab"):
    return Identity("camera", session, sequence, f"{sequence}.png", 1.5e9 + sequence)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "queue"


@pytest.fixture
def spool(folder):
    with Spool(folder, bytes_max=1000) as opened:
        yield opened


def test_what_is_added_is_read_and_is_there_after_a_restart(folder):
    with Spool(folder, bytes_max=1000) as spool:
        number, lost = spool.add(identity(3), b"picture")
        assert (spool.read(number), spool.identity(number), lost) == ((identity(3), b"picture"), identity(3), [])
    with Spool(folder, bytes_max=1000) as spool:
        assert (spool.numbers, spool.size_bytes, len(spool)) == ([number], 7, 1)
        assert spool.read(number) == (identity(3), b"picture")


def test_a_frame_is_kept_once(spool):
    first, _ = spool.add(identity(3), b"picture")
    assert spool.add(identity(3), b"the same") == (first, [])
    assert (spool.numbers, spool.read(first)[1]) == ([first], b"picture")


def test_what_is_forgotten_is_gone_and_its_number_is_never_used_again(spool):
    first, _ = spool.add(identity(0), b"picture")
    spool.forget([first])
    second, _ = spool.add(identity(1), b"picture", forget=[first])
    assert second > first
    assert spool.numbers == [second]
    with pytest.raises(DeviceError, match=f"does not hold picture {first}"):
        spool.read(first)


def test_the_oldest_pictures_give_way_but_for_those_that_may_not(spool):
    numbers = [spool.add(identity(n), bytes(300))[0] for n in range(3)]
    number, lost = spool.add(identity(3), bytes(600), may_go=lambda number: number != numbers[0])
    assert lost == [identity(1), identity(2)]
    assert spool.numbers == [numbers[0], number]


def test_what_has_no_room_is_refused_and_nothing_is_changed(spool):
    number, _ = spool.add(identity(0), bytes(900))
    with pytest.raises(DeviceError, match="holds 900 bytes of pictures, 1000 may be kept"):
        spool.add(identity(1), bytes(200), may_go=lambda _: False)
    with pytest.raises(DeviceError, match="1000 may be kept"):
        spool.add(identity(1), bytes(1001))
    assert (spool.numbers, spool.size_bytes) == ([number], 900)


def test_the_newest_picture_gives_way_where_that_is_asked_for(folder):
    with Spool(folder, bytes_max=1000, gives_way="newest") as spool:
        number, _ = spool.add(identity(0), bytes(900))
        with pytest.raises(DeviceError):
            spool.add(identity(1), bytes(200))
        assert spool.numbers == [number]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["add", "forget", "reopen"]), st.integers(0, 9)), max_size=30))
def test_it_holds_what_was_added_and_not_forgotten(tmp_path_factory, steps):
    folder, held = tmp_path_factory.mktemp("queue"), {}
    spool = Spool(folder, bytes_max=10**6).__enter__()
    for step, sequence in steps:
        if step == "add":
            number, _ = spool.add(identity(sequence), bytes([sequence]))
            held[number] = sequence
        elif step == "forget":
            leaving = [number for number, kept in held.items() if kept == sequence]
            spool.forget(leaving)
            held = {number: kept for number, kept in held.items() if number not in leaving}
        else:
            spool.__exit__()
            spool = Spool(folder, bytes_max=10**6).__enter__()
    assert {number: spool.read(number) for number in spool.numbers} == {n: (identity(s), bytes([s])) for n, s in held.items()}
    spool.__exit__()


def test_a_disk_that_is_nearly_full_is_left_alone_until_there_is_room(spool, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(10**6))
    with pytest.raises(DeviceError, match="less than 32 MB left; free space there"):
        spool.add(identity(0), b"picture")
    monkeypatch.undo()
    spool.add(identity(0), b"picture")
    assert len(spool) == 1


def test_a_disk_that_is_full_refuses_and_goes_on(folder):
    with Spool(folder, bytes_max=10**9) as spool:
        first, _ = spool.add(identity(0), b"picture")
        spool._connection.execute("PRAGMA max_page_count = 10")
        with pytest.raises(DeviceError, match="database or disk is full; free space there"):
            spool.add(identity(1), bytes(10**6))
        spool._connection.execute("PRAGMA max_page_count = 1000000")
        second, _ = spool.add(identity(1), bytes(10**6))
        assert spool.numbers == [first, second]


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"--deliver .*file cannot be used.*name a folder to write in"):
        Spool(tmp_path / "file", bytes_max=1).__enter__()


def test_a_file_that_cannot_be_opened_is_a_config_error(folder):
    (folder / FILE_NAME).mkdir(parents=True)
    with pytest.raises(ConfigError, match="unable to open database file; name a folder to write in"):
        Spool(folder, bytes_max=1).__enter__()


def test_two_agents_do_not_share_a_folder(spool, folder, monkeypatch):
    monkeypatch.setattr("isthmus.head.spool.LOCK_WAIT_S", 0.05)
    with pytest.raises(ConfigError, match="is in use by another agent; give each a folder of its own"):
        Spool(folder, bytes_max=1).__enter__()


def test_a_queue_of_a_later_version_is_left_as_it_is(folder):
    with Spool(folder, bytes_max=1000):
        pass
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(ConfigError, match="is a queue of version 7, 1 is read here"):
        Spool(folder, bytes_max=1000).__enter__()


def test_a_file_that_is_no_database_is_set_aside_and_a_new_one_begun(folder):
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(b"no database " * 1000)
    with Spool(folder, bytes_max=1000) as spool:
        spool.add(identity(0), b"picture")
        assert len(spool) == 1
    assert (folder / DAMAGED_NAME).read_bytes().startswith(b"no database")


def test_a_file_that_is_damaged_in_mid_run_is_set_aside_and_a_new_one_begun(folder):
    with Spool(folder, bytes_max=10**9) as spool:
        for number in range(100):
            spool.add(identity(number), os.urandom(60_000))
    with Spool(folder, bytes_max=10**9) as spool:
        with (folder / FILE_NAME).open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (6_000_000))
        with pytest.raises(DeviceError, match="was set aside with 100 pictures"):
            [spool.read(number) for number in spool.numbers]
        assert len(spool) == 0
        number, _ = spool.add(identity(0), b"picture")
        assert spool.read(number) == (identity(0), b"picture")


def test_a_picture_that_was_changed_on_the_disk_is_found(spool):
    number, _ = spool.add(identity(0), b"picture")
    with spool._connection as connection:
        connection.execute("UPDATE pictures SET picture = X'00'")
    with pytest.raises(DeviceError, match=f"picture {number} in .* is damaged"):
        spool.read(number)


ADDS = """
import sys
from pathlib import Path
from isthmus.head.record import Identity
from isthmus.head.spool import Spool
with Spool(Path(sys.argv[1]), bytes_max=10**9) as spool:
    for number in range(10**6):
        spool.add(Identity("camera", "ab", number, "", 0.0), bytes(20_000), forget=[number - 5] if number > 10 else [])
        print(number, flush=True)
"""


def test_what_was_added_is_there_after_a_kill(folder):
    with subprocess.Popen([sys.executable, "-c", ADDS, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(30):
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    with Spool(folder, bytes_max=10**9) as spool:
        held = {spool.read(number)[0].sequence for number in spool.numbers}
    # Numbers on the disk begin at 1, those of the frames at 0.
    assert set(range(said - 4, said + 1)) <= held
