import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.sensors import file
from isthmus.errors import DeviceError


def test_a_number_is_read_whatever_white_space_is_around_it(tree):
    assert file.read_number(tree({"a": " -42 \0"}) / "a") == -42


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "''"), (b"\xff\xfe", "no number"), (b"12 W", "'12 W'"), (b"9" * 5000, "no number")]
)
def test_what_is_no_number_says_what_it_is_instead(tree, content, words):
    with pytest.raises(DeviceError, match=words):
        file.read_number(tree({"a": content}) / "a")
    assert file.number(tree({"a": content}) / "a") is None


def test_a_file_that_is_not_there_and_one_that_may_not_be_read_are_told_apart(tree, monkeypatch):
    path = tree({"a": 1}) / "a"
    with pytest.raises(DeviceError, match="is not there"):
        file.read_text(path.with_name("b"))
    with pytest.raises(DeviceError, match="cannot be read: Is a directory"):
        file.read_text(path.parent)
    monkeypatch.setattr(type(path), "open", forbidden)
    with pytest.raises(DeviceError, match=r"may not be read by this user; run as root, or `sudo chmod o\+r"):
        file.read_text(path)


def forbidden(*_arguments, **_options):
    raise PermissionError(13, "Permission denied")


@given(st.binary(max_size=64))
def test_garbage_never_raises_anything_else(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / f"garbage-{os.getpid()}"
    path.write_bytes(content)
    assert file.number(path) is None or isinstance(file.number(path), int)
