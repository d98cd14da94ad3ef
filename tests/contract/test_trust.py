import os
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.contract.key import PrivateKey
from isthmus.contract.key_file import private_pem, public_pem
from isthmus.contract.trust import add, read_trusted
from isthmus.errors import ConfigError

MakeKey = Callable[[int], PrivateKey]


def ids(make_key: MakeKey, *numbers: int) -> set[str]:
    return {make_key(number).public.id for number in numbers}


@pytest.fixture
def folder(make_key: MakeKey, tmp_path: Path) -> Path:
    """A folder that trusts key 1."""
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "one.pub").write_bytes(public_pem(make_key(1).public))
    return tmp_path / "trusted"


def test_a_folder_gives_the_keys_of_its_files(make_key: MakeKey, folder: Path) -> None:
    (folder / "more.pem").write_bytes(public_pem(make_key(2).public) + public_pem(make_key(3).public))
    assert set(read_trusted(folder).keys) == ids(make_key, 1, 2, 3)


def test_one_file_is_enough(make_key: MakeKey, folder: Path) -> None:
    assert set(read_trusted(folder / "one.pub").keys) == ids(make_key, 1)


def test_a_key_that_is_there_twice_counts_once(make_key: MakeKey, folder: Path) -> None:
    (folder / "again.pub").write_bytes(public_pem(make_key(1).public) * 2)
    assert set(read_trusted(folder).keys) == ids(make_key, 1)


def test_hidden_files_other_names_and_subfolders_are_passed_over(make_key: MakeKey, folder: Path) -> None:
    (folder / ".two.pub").write_bytes(public_pem(make_key(2).public))
    (folder / "README").write_text("ours")
    (folder / "maker.key").write_bytes(private_pem(make_key(2), None))
    (folder / "older").mkdir()
    (folder / "older" / "two.pub").write_bytes(public_pem(make_key(2).public))
    assert set(read_trusted(folder).keys) == ids(make_key, 1)


def test_links_to_files_are_followed_as_mounted_configurations_need_it(make_key: MakeKey, folder: Path) -> None:
    (folder / "..data").mkdir()
    (folder / "..data" / "two.pub").write_bytes(public_pem(make_key(2).public))
    (folder / "two.pub").symlink_to("..data/two.pub")
    assert set(read_trusted(folder).keys) == ids(make_key, 1, 2)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_one_broken_file_spoils_the_whole(folder: Path, content: bytes) -> None:
    (folder / "two.pub").write_bytes(content)
    with pytest.raises(ConfigError, match=r"two\.pub"):
        read_trusted(folder)


def test_a_private_key_under_a_public_name_is_told(make_key: MakeKey, folder: Path) -> None:
    (folder / "two.pem").write_bytes(private_pem(make_key(2), None))
    with pytest.raises(ConfigError, match=r"two\.pem is a private key"):
        read_trusted(folder)


@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling link", "link to a device"])
def test_what_is_no_file_stops_and_does_not_block(folder: Path, kind: str) -> None:
    path = folder / "two.pub"
    make = {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "dangling link": lambda: path.symlink_to("nowhere"),
        "link to a device": lambda: path.symlink_to("/dev/zero"),
    }
    make[kind]()
    with pytest.raises(ConfigError, match=r"two\.pub"):
        read_trusted(folder)


def test_no_key_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no public key"):
        read_trusted(tmp_path)
    with pytest.raises(ConfigError, match="there is no key file"):
        read_trusted(tmp_path / "nowhere")


def test_too_many_keys_and_too_many_files_are_refused(make_key: MakeKey, folder: Path) -> None:
    for number in range(2, 67):
        (folder / f"{number}.pub").write_bytes(public_pem(make_key(number).public))
    with pytest.raises(ConfigError, match="more than the 64 keys"):
        read_trusted(folder)
    for number in range(1024):
        (folder / f"{number}.jpg").touch()
    with pytest.raises(ConfigError, match="more than 1024 files"):
        read_trusted(folder)


def test_an_added_key_is_trusted_and_a_removed_one_no_longer(make_key: MakeKey, folder: Path) -> None:
    path = add(folder, make_key(2).public)
    assert path is not None
    assert set(read_trusted(folder).keys) == ids(make_key, 1, 2)
    path.unlink()
    assert set(read_trusted(folder).keys) == ids(make_key, 1)


def test_a_key_that_is_trusted_already_makes_no_second_file(make_key: MakeKey, folder: Path) -> None:
    assert add(folder, make_key(1).public) is None
    assert os.listdir(folder) == ["one.pub"]


def test_the_first_key_makes_the_folder(make_key: MakeKey, tmp_path: Path) -> None:
    add(tmp_path / "new" / "trusted", make_key(1).public)
    assert set(read_trusted(tmp_path / "new" / "trusted").keys) == ids(make_key, 1)


def test_a_key_is_not_added_to_a_file(make_key: MakeKey, folder: Path) -> None:
    with pytest.raises(ConfigError, match="is a file"):
        add(folder / "one.pub", make_key(2).public)
