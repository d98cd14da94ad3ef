import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from isthmus.bench import costs
from isthmus.cli.main import app

runner = CliRunner()


@pytest.fixture(scope="module")
def planned(make_tiny_bundle, tmp_path_factory):
    """A function that plans with a bundle whose costs and figures are real."""
    bundle, folder = make_tiny_bundle(), tmp_path_factory.mktemp("planned")
    random = np.random.default_rng(0)
    np.savez(folder / "pictures.npz", images=random.integers(0, 256, (6, 40, 60, 3), dtype=np.uint8))
    (folder / "pictures").mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"pictures/{index}.png"), random.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "RUNS", 3)
        patch.setattr(costs, "PAUSE_S", 0.0)
        asked = ["bench", str(bundle.origin), "-o", str(folder), "--source", str(folder / "pictures"), "--profile"]
        assert runner.invoke(app, asked).exit_code == 0
    evaluated = runner.invoke(app, ["evaluate", str(bundle.origin), "--data", str(folder / "pictures.npz"), "--json"])
    (folder / "evaluated.json").write_text(evaluated.stdout)

    def plan(*more):
        figures = [] if "--evaluation" in more else ["--evaluation", str(folder / "evaluated.json")]
        return runner.invoke(app, ["plan", str(bundle.origin), *figures, *more])

    return plan


def test_a_measured_and_evaluated_bundle_is_planned(planned, tmp_path):
    done = planned("--link", "1mbit/20ms", "--link", "unlimited", "--accuracy-drop", "100%", "--plot", str(tmp_path / "a.svg"))
    assert done.exit_code == 0, done.stderr
    assert "run it locally (whole.onnx)" in done.stdout
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def test_json_has_the_verdict_in_meta_and_the_rows_of_a_measurement(planned):
    done = planned("--link", "1mbit/20ms", "--device", "rpi4", "--json")
    found = json.loads(done.stdout)
    assert found["meta"]["verdict"].startswith("Over 1mbit/20ms: ")
    assert found["meta"]["device"]["kind"] == "predicted"
    assert {row["placement"] for row in found["rows"]} == {"local", "offload", "split"}
    row = next(row for row in found["rows"] if row["placement"] == "split")
    assert (row["energy_j"]["kind"], row["latency_ms"]["p50"] > 20) == ("modelled", True)


def test_a_fleet_is_sized_for_people_and_programs(planned):
    asked = ["--link", "5mbit/20ms", "--accuracy-drop", "100%", "--fleet", "40", "--fps", "5", "--pass-rate", "20%"]
    done = planned(*asked, "--p95", "2s")
    assert "A server for 40 devices of 5 frames/s, 20% of them passed; simulated" in done.stdout
    found = json.loads(planned(*asked, "--json").stdout)["meta"]["fleet"]
    assert {one["placement"] for one in found} == {"split", "offload"}
    assert all(one["cores"] > one["instances"] >= 1 for one in found)


def test_a_device_without_peaks_cannot_be_predicted(planned):
    done = planned("--link", "1mbit/20ms", "--device", "arm64")
    assert (done.exit_code, "no peaks" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("more", "exit_code", "words"),
    [
        ([], 2, "--link"),
        (["--link", "fast"], 2, "write it like"),
        (["--link", "1mbit/20ms", "--accuracy-drop", "little"], 2, "is not a share"),
        (["--link", "1mbit/20ms", "--accuracy-drop", "200%"], 2, "is not a share"),
        (["--link", "1mbit/20ms", "--load", "100%"], 2, "leaves no room"),
        (["--link", "1mbit/20ms", "--fleet", "3", "--pass-rate", "0%"], 2, "no frame reaches the server"),
        (["--link", "1mbit/20ms", "--fleet", "3", "--p95", "soon"], 2, "is not a duration"),
        (["--link", "1mbit/20ms", "--device", "toaster"], 3, "no profile 'toaster'"),
        (["--link", "1mbit/20ms", "--server", "missing.json"], 3, "cannot read missing.json"),
        (["--link", "1mbit/20ms", "--plot", "a.png"], 2, "would hold an SVG"),
        (["--link", "1mbit/20ms", "--evaluation", "nowhere.json"], 3, "is not there"),
    ],
)
def test_a_mistake_is_one_line(planned, more, exit_code, words):
    done = planned(*more)
    assert (done.exit_code, words in done.stderr, "Traceback" in done.stderr) == (exit_code, True, False)
