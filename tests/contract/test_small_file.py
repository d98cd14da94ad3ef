import os
import stat
from pathlib import Path

import pytest

from isthmus.contract import small_file
from isthmus.errors import ConfigError


def read(path: Path, **options: bool) -> bytes:
    return small_file.read(path, size_max=10, error=ConfigError, **options)


def test_a_file_of_just_the_limit_is_read_and_a_longer_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    assert read(tmp_path / "f") == b"0123456789"
    (tmp_path / "f").write_bytes(b"0123456789!")
    with pytest.raises(ConfigError, match="more than the 10 bytes"):
        read(tmp_path / "f")


def test_nothing_there_is_left_to_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "f")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/tty0", "."])
def test_a_device_or_folder_is_refused(path: str) -> None:
    with pytest.raises((ConfigError, FileNotFoundError)):
        read(Path(path))


def test_a_pipe_without_a_writer_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a regular file"):
        read(tmp_path / "pipe")


def test_a_link_is_followed_only_if_wanted(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to("f")
    assert read(tmp_path / "link") == b"x"
    with pytest.raises(ConfigError, match="is a link"):
        read(tmp_path / "link", follow_links=False)


def test_a_new_file_has_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    small_file.create(tmp_path / "f", b"secret", mode=0o600, error=ConfigError)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    assert (tmp_path / "f").read_bytes() == b"secret"


def test_what_is_there_is_not_overwritten_not_even_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "link").symlink_to("elsewhere")
    for name in ("f", "link"):
        with pytest.raises(ConfigError, match="is there already"):
            small_file.create(tmp_path / name, b"new", mode=0o600, error=ConfigError)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert not (tmp_path / "elsewhere").exists()


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_no_part_of_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        small_file.create(tmp_path / "f", b"new", mode=0o600, error=ConfigError)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    (tmp_path / "f").write_bytes(b"old")
    monkeypatch.setattr(step, full_disk)
    with pytest.raises(OSError, match="No space left"):
        small_file.replace(tmp_path / "f", b"new", like=tmp_path / "f")
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_replaced_file_takes_the_permissions_of_another(tmp_path: Path) -> None:
    (tmp_path / "like").touch(0o640)
    small_file.replace(tmp_path / "f", b"new", like=tmp_path / "like")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert (tmp_path / "f").read_bytes() == b"new"
