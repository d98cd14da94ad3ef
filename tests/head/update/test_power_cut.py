"""The power goes at every single step of an update: SIGKILL, in a real process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.head.update.state import FACTORY

PROGRAM = Path(__file__).with_name("power_cut.py")


@pytest.fixture
def cut_everywhere(tmp_path, make_release, trust):
    """A function that runs the program; the runs, one for each step at which the power went, and one without."""

    def run(way):
        folder = tmp_path / "updates"
        folder.mkdir()
        command = [sys.executable, PROGRAM, folder, make_release("1"), make_release("2"), trust, way]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout)
        assert len(said["runs"]) > 30, "too few steps were seen: is the hook still called?"
        return said["runs"], said["files"]

    return run


@pytest.mark.slow
def test_an_update_that_is_killed_anywhere_leaves_a_whole_bundle_and_is_finished_later(cut_everywhere, digest_of, make_release):
    runs, files = cut_everywhere("accept")
    assert {run["started"] for run in runs} == {"1", "2"}
    assert {run["finished"] for run in runs} == {"2"}
    assert {run["state"]["current"] for run in runs} == {digest_of(make_release("2"))}
    assert {run["state"]["trial_starts"] for run in runs} == {0}
    assert files == ["bundles", "lock", "state.json", "state.lock", "unpacked"]
    # Once the new bundle was gone over to, no power cut brings the old one back.
    assert [run["started"] for run in runs] == sorted(run["started"] for run in runs)


@pytest.mark.slow
def test_a_roll_back_that_is_killed_anywhere_ends_with_the_old_bundle(cut_everywhere):
    runs, _ = cut_everywhere("withdraw")
    assert {run["started"] for run in runs} == {"1", "2"}
    assert {run["finished"] for run in runs} == {"1"}
    assert {run["state"]["current"] for run in runs} == {FACTORY}
