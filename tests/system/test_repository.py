"""A repository that changes under a device: the programs as they are started, and the device's own link."""

import shutil

import pytest

from isthmus.bench import programs
from isthmus.errors import ContractMismatch
from isthmus.head.link import Link

WAIT_S = 30


def _put(repository, bundle, version):
    aside = repository / ".arriving"
    shutil.copytree(bundle.folder, aside)
    (repository / "tiny").mkdir(exist_ok=True)
    aside.rename(repository / "tiny" / version)


@pytest.mark.slow
def test_a_device_of_the_version_that_was_replaced_is_told_what_is_served_now(make_tiny_bundle, tmp_path):
    old, new = make_tiny_bundle(seed=21), make_tiny_bundle(seed=22)
    _put(tmp_path, old, "1")
    extra = ["--mode", "poll", "--poll", "100ms"]
    with programs.server(tmp_path, extra=extra) as running, Link(old, [running.match["grpc"]], device_id="camera") as link:
        link.wait_connected(WAIT_S)
        _put(tmp_path, new, "2")
        with link._changed:
            assert link._changed.wait_for(lambda: link.failure, WAIT_S)
        assert isinstance(link.failure, ContractMismatch)
        assert f"this server serves {new.digest[:12]} (tiny 2)" in str(link.failure)
        with Link(new, [running.match["grpc"]], device_id="new camera") as updated:
            updated.wait_connected(WAIT_S)
