"""`isthmus export --cut auto` with measured costs."""

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from isthmus.bench import costs
from isthmus.cli.main import app
from isthmus.contract.bundle import open_bundle

runner = CliRunner()


@pytest.fixture(scope="module")
def measured(make_tiny_bundle, tmp_path_factory):
    """A network, and the costs of a bundle of it."""
    bundle, folder = make_tiny_bundle(), tmp_path_factory.mktemp("measured")
    pictures = folder / "pictures"
    pictures.mkdir()

    for index in range(5):
        drawn = np.random.default_rng(index).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        cv2.imwrite(str(pictures / f"{index}.png"), drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "RUNS", 3)
        patch.setattr(costs, "PAUSE_S", 0.0)
        found = costs.profile(bundle.folder, str(pictures))
    (folder / "costs.json").write_text(found.model_dump_json())
    return bundle.folder / "whole.onnx", folder


def export(measured, output, *more):
    whole, folder = measured
    made = [whole, "-o", output, "--data", folder / "pictures", "--bottleneck", "none", "--int8", "off", *more]
    return runner.invoke(app, ["export", *map(str, made)])


def test_auto_takes_a_cut_by_costs_and_says_so(measured, tmp_path):
    _, folder = measured
    done = export(measured, tmp_path / "b", "--costs", folder / "costs.json", "--device", "rpi4", "--link", "1kbit/20ms")
    assert done.exit_code == 0, done.stderr
    assert "auto by costs: " in done.stderr
    # Over so slow a link the pooled vector crosses, which the plain rule never takes.
    [crossing] = open_bundle(tmp_path / "b").manifest.boundary.tensors
    assert crossing.size() <= 8


@pytest.mark.parametrize(
    ("more", "exit_code", "words"),
    [
        (["--link", "1mbit/20ms"], 2, "give --costs FILE"),
        (["--costs", "COSTS"], 2, "give --link"),
        (["--costs", "COSTS", "--link", "1mbit/20ms", "--cut", "folded"], 2, "names one"),
        (["--costs", "COSTS", "--link", "quick"], 2, "write it like"),
        (["--costs", "COSTS", "--link", "1mbit/20ms", "--device", "toaster"], 3, "no profile"),
        (["--costs", "nowhere.json", "--link", "1mbit/20ms"], 3, "cannot read nowhere.json"),
    ],
)
def test_a_mistake_is_found_before_the_model_is_opened(measured, tmp_path, more, exit_code, words):
    given = [str(measured[1] / "costs.json") if word == "COSTS" else word for word in more]
    done = export(measured, tmp_path / "b", *given)
    assert (done.exit_code, words in done.stderr, "opening" in done.stderr) == (exit_code, True, False)
