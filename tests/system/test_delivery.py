"""An agent that is killed while frames wait to be delivered: real processes, a real disk."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter

import cv2
import numpy as np
import pytest

from isthmus.bench import programs
from isthmus.devices import link as profiles
from isthmus.devices.shaper_thread import run_in_thread
from isthmus.head.spool import FILE_NAME, Spool

pytestmark = pytest.mark.timeout(180)
WAIT_S = 60


@pytest.fixture
def album(tmp_path):
    """A folder of 24 pictures of noise."""
    folder = tmp_path / "album"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(24):
        cv2.imwrite(str(folder / f"{index:02}.png"), random.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    return folder


class Device:
    """The agent's command with a queue and a sink that goes on."""

    def __init__(self, bundle, album, folder):
        self.queue, self._records = folder / "queue", folder / "records.jsonl"
        self._command = [
            sys.executable,
            "-m",
            "isthmus",
            "run",
            bundle.folder,
            "--source",
            album,
            "--no-gate",
            "--device-id",
            "camera",
        ]
        self._command += ["--deliver", self.queue, "--sink", f"jsonl:+{self._records}"]

    def start(self, address, *options):
        return subprocess.Popen([*map(str, [*self._command, "--tail", address, *options])], stderr=subprocess.PIPE, text=True)

    def answers(self):
        """How often each frame has an answer of the server."""
        lines = self._records.read_text().splitlines() if self._records.exists() else []
        rows = [json.loads(line) for line in lines]
        return Counter((row["session"], row["sequence"]) for row in rows if row["placement"] == "split")

    def waiting(self):
        """Frames whose pictures are on the disk; the agent must not run."""
        with Spool(self.queue, bytes_max=10**9) as spool:
            identities = [spool.identity(number) for number in spool.numbers]
        return {(identity.session, identity.sequence) for identity in identities}


def wait_until(condition):
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT_S)


def test_a_killed_agent_loses_nothing_that_was_to_be_delivered(tiny_bundle, album, tmp_path):
    device = Device(tiny_bundle, album, tmp_path)
    log = device.queue / f"{FILE_NAME}-wal"

    # No server is there, and the agent is killed while pictures are being put on the disk.
    process = device.start("127.0.0.1:1", "--fps", "50")
    wait_until(lambda: log.exists() and log.stat().st_size > 400_000)
    kill(process)
    kept = device.waiting()
    assert len(kept) > 10

    # A server is there, far away, and the agent is killed while they are being delivered.
    with (
        programs.server(tiny_bundle.folder) as server,
        run_in_thread(server.match["grpc"], profiles.parse("unlimited/60ms")) as far,
    ):
        process = device.start(far.address)
        wait_until(lambda: len(device.answers()) > 5)
        kill(process)
        assert kept & device.waiting()

        # The last one ends by itself.
        process = device.start(far.address)
        _, words = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, words
    answers = device.answers()
    assert kept <= answers.keys()
    assert device.waiting() == set()
    # Twice is what was answered and not off the disk when the agent was killed: no more than were under way.
    assert set(answers.values()) <= {1, 2}
    assert sum(count == 2 for count in answers.values()) <= 5


def test_a_queue_that_cannot_be_used_ends_the_agent_with_one_line(tiny_bundle, album, tmp_path):
    device = Device(tiny_bundle, album, tmp_path)
    device.queue.write_text("a file in the way")
    process = device.start("127.0.0.1:1")
    _, words = process.communicate(timeout=WAIT_S)
    assert process.returncode == 3
    assert "cannot be used" in words
    assert "Traceback" not in words
