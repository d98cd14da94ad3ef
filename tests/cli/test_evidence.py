"""`isthmus evidence` beside a server and an agent that run as processes of their own."""

import json
import subprocess
import sys

import cv2
import numpy as np
from typer.testing import CliRunner

from isthmus.bench import programs
from isthmus.cli.main import app

runner = CliRunner()


def test_an_operator_gets_the_picture_of_a_frame_that_runs(make_tiny_bundle, tmp_path):
    bundle, seen = make_tiny_bundle(), tmp_path / "seen"
    seen.mkdir()
    for number in range(400):
        cv2.imwrite(str(seen / f"{number:03}.png"), np.full((32, 32, 3), number % 250, np.uint8))
    with programs.server(bundle.folder) as server:
        address = server.match["grpc"]
        source = ["--source", str(seen), "--fps", "20", "--no-gate", "--sink", "jsonl:-"]
        options = ["--tail", address, "--device-id", "../porch", "--evidence", "1MB"]
        command = [sys.executable, "-m", "isthmus", "run", str(bundle.folder), *source, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as agent:
            assert any(json.loads(line)["sequence"] == 40 for line in agent.stdout)
            target = tmp_path / "porch.jpg"
            done = runner.invoke(app, ["evidence", "../porch", "30", "--tail", address, "-o", str(target)])
            missing = runner.invoke(app, ["evidence", "../porch", "9999", "--tail", address])
            agent.terminate()
            agent.stdout.read()
    assert done.exit_code == 0, done.output
    assert abs(float(cv2.imread(str(target)).mean()) - 30) < 3
    assert (missing.exit_code, "holds no picture of frame 9999" in missing.stderr) == (1, True)


def test_mistakes_are_one_line(tmp_path):
    for arguments, code, words in (
        (["porch", "1", "--tail", "nonsense"], 3, "HOST:PORT"),
        (["porch", "1", "--tail", "127.0.0.1:1", "--session", "xyz"], 2, "is not hexadecimal"),
        (["porch", "1", "--tail", "127.0.0.1:1", "--timeout", "2s"], 5, "127.0.0.1:1"),
    ):
        done = runner.invoke(app, ["evidence", *arguments])
        assert (done.exit_code, words in done.stderr) == (code, True), done.stderr
