import os

import pytest
from structlog.testing import capture_logs

from isthmus.errors import ConfigError
from isthmus.tail.security.watched import Watched


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_text("one")
    return tmp_path / "file"


@pytest.fixture
def watched(path):
    """What the file says; `bad` cannot be read."""

    def read():
        text = path.read_text()
        if text == "bad":
            raise ConfigError("it is bad")
        return text

    return Watched("files", [path], read)


def test_what_changed_is_read_again(watched, path):
    path.write_text("three")
    assert watched.get() == "three"


def test_a_file_put_in_its_place_is_seen_whatever_its_time_says(watched, path, tmp_path):
    before = path.stat()
    (tmp_path / "next").write_text("two")
    os.utime(tmp_path / "next", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(tmp_path / "next", path)
    assert watched.get() == "two"


def test_a_link_that_points_elsewhere_is_seen(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    (tmp_path / "other").write_text("two")
    watched = Watched("files", [link], link.read_text)
    link.unlink()
    link.symlink_to(tmp_path / "other")
    assert watched.get() == "two"


def test_what_did_not_change_is_not_read_again(path):
    reads = []
    watched = Watched("files", [path], lambda: reads.append(1))
    for _ in range(3):
        watched.get()
    assert len(reads) == 1


@pytest.mark.parametrize("missing", [False, True])
def test_what_cannot_be_read_leaves_the_old_and_is_told_once(watched, path, missing):
    if missing:
        path.unlink()
    else:
        path.write_text("bad")
    with capture_logs() as logs:
        assert [watched.get(), watched.get()] == ["one", "one"]
    assert [line["log_level"] for line in logs] == ["error"]
    path.write_text("mended")
    assert watched.get() == "mended"


def test_at_the_start_there_is_no_old(path):
    path.write_text("bad")
    with pytest.raises(ConfigError):
        Watched("files", [path], lambda: (_ for _ in ()).throw(ConfigError("it is bad")))
