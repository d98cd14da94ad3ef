"""Real processes, as torchrun and `accelerate launch` start them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from isthmus.contract.bundle import open_bundle
from isthmus.export.training.crew import Crew, here

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def material(residual_source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crew")
    ir.save(residual_source.model, folder / "model.onnx")
    random = np.random.default_rng(0)
    np.savez(folder / "pictures.npz", images=random.integers(0, 255, (41, 16, 16, 3), np.uint8))
    return folder


def started(*arguments, **environment):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, arguments)]
    given = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", **environment}
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def trained(material, folder, *more):
    started(HERE / "together.py", material / "model.onnx", material / "pictures.npz", folder, *more)
    return [dict(np.load(folder / f"{rank}.npz")) for rank in (0, 1)]


@pytest.fixture(scope="module")
def both(material, tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    return trained(material, folder), folder


def test_processes_end_with_the_same_weights(both):
    (first, second), _ = both
    assert first["steps"] == second["steps"] == 20
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_the_first_alone_keeps_checkpoints_and_goes_on(both):
    _, folder = both
    assert sorted(path.name for path in folder.glob("*.checkpoint")) == ["0.checkpoint"]
    assert (folder / "left_over").read_text() == "0"


def test_an_interruption_of_one_ends_all_after_the_same_step(material, tmp_path):
    first, second = trained(material, tmp_path, 7)
    assert first["steps"] == second["steps"] == 7
    assert first["interrupted"]
    assert second["interrupted"]


def test_several_processes_write_one_bundle(material, tmp_path):
    options = ["--cut", "relu", "--channels", 2, "--bits", 4, "--budget", "1s", "--int8", "off"]
    data = ["--data", material / "pictures.npz", "-o", tmp_path / "b.isthmus"]
    done = started("-m", "isthmus", "export", material / "model.onnx", *options, *data)
    assert done.stderr.count("checking the gates") == 1
    assert open_bundle(tmp_path / "b.isthmus").manifest.training is not None


def test_alone_nothing_is_exchanged():
    crew = here()
    assert (crew.size, crew.is_first, crew.agreed(3), crew.any(True), crew.mean(0.5)) == (1, True, 3, True, 0.5)
    assert crew.part(5).tolist() == [0, 1, 2, 3, 4]
    crew.average([torch.ones(2)])
    Crew().leave()
