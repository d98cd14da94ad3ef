"""An unmodified client of Triton, in an environment and a process of its own, against `isthmus serve`."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from isthmus.bench import programs

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "tests/triton_client.txt"
PLACE = ROOT / "build/triton-client"
INSTALL_TIMEOUT_S = 240


@pytest.fixture(scope="session")
def triton_python():
    """The Python of an environment with Triton's client; made once, and again when the list of packages changes."""
    made = PLACE / hashlib.sha256(PACKAGES.read_bytes() + sys.version.encode()).hexdigest()[:12]
    python, ready = made / "bin" / "python", made / ".ready"
    if not ready.exists():
        shutil.rmtree(PLACE, ignore_errors=True)
        venv.create(made, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--retries", "1", "--only-binary", ":all:", "-r", PACKAGES]
        try:
            done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"tritonclient was not installed within {INSTALL_TIMEOUT_S} s")
        if done.returncode:
            pytest.skip(f"tritonclient cannot be installed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        ready.touch()
    return python


def run(python, program, *arguments):
    """What a program printed, run where Isthmus is not to be found."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [python, ROOT / program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_unmodified_client_loads_asks_streams_and_unloads(triton_python, make_tiny_bundle, tmp_path, processes):
    bundle = make_tiny_bundle("cups")
    shutil.copytree(bundle.folder, tmp_path / "cups" / "1")
    with programs.server(tmp_path, extra=["--mode", "explicit", "--workers", processes]) as server:
        lines = run(triton_python, "tests/triton_client.py", server.match["grpc"], "cups", bundle.path("golden.npz"))
    asked = ["metadata", "tail", "whole_network", "compressed", "without_waiting", "stream", "refusals"]
    assert lines == ["server", "index", "load", *asked, "unload"]


def test_the_example_gets_the_golden_outputs(triton_python, tiny_bundle):
    with programs.server(tiny_bundle.folder) as server:
        address, golden = server.match["grpc"], tiny_bundle.path("golden.npz")
        tail, whole = run(triton_python, "examples/ask_with_tritonclient.py", address, "tiny", golden)
    assert tail.startswith("tiny: scores [1, 5], ")
    assert float(tail.removesuffix(" from the golden one").rpartition(" ")[2]) < 1e-5
    assert whole.startswith("tiny_whole: scores [1, 5], largest ")
