import pytest
from typer.testing import CliRunner

from isthmus.bench import costs
from isthmus.cli.main import app
from isthmus.devices.cost import table as tables

runner = CliRunner()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(costs, "RUNS", 4)
    monkeypatch.setattr(costs, "PAUSE_S", 0.0)


def profiled(bundle, pictures, *more):
    arguments = [str(bundle.folder), "-o", str(bundle.folder.parent / "out"), "--source", str(pictures), "--profile", *more]
    return runner.invoke(app, ["bench", *arguments])


def test_every_network_stage_and_cut_has_its_cost(make_tiny_bundle, pictures, quick):
    bundle = make_tiny_bundle()
    found = costs.profile(bundle.folder, str(pictures), device="x86-64")
    assert (found.kind, found.contract_digest, found.device.profile) == ("measured", bundle.digest, "x86-64")
    assert {"head.onnx", "tail.onnx", "whole.onnx"} <= found.networks.keys()
    points = [point.name for point in bundle.manifest.points]
    assert {"prepare", "head", "local", *(f"encode {point}" for point in points)} <= found.stages.keys()
    whole_s = found.networks["whole.onnx"].total.value
    assert found.cuts
    assert all(cut.before.value + cut.after.value == pytest.approx(whole_s, rel=0.01) for cut in found.cuts)
    assert [cut.before.value for cut in found.cuts] == sorted(cut.before.value for cut in found.cuts)
    assert found.cut_error is not None


def test_the_table_lies_beside_the_bundle_and_a_predicted_one_by_its_device(make_tiny_bundle, pictures, quick):
    bundle = make_tiny_bundle()
    done = profiled(bundle, pictures, "--predict", "rpi4", "--json")
    assert done.exit_code == 0, done.stderr
    assert tables.CostTable.model_validate_json(done.stdout).kind == "measured"
    measured, predicted = (tables.read(tables.path_beside(bundle.folder, name)) for name in (None, "rpi4"))
    assert (measured.kind, predicted.kind) == ("measured", "predicted")


def test_people_get_tables_with_the_error(make_tiny_bundle, pictures, quick):
    said = profiled(make_tiny_bundle(), pictures, "--predict", "rpi4").stdout
    assert all(words in said for words in ("never compared", "Cuts of whole.onnx", "Heads that were cut and timed differ"))


def test_a_device_without_the_exporter_has_no_cuts(make_tiny_bundle, pictures, quick, monkeypatch):
    monkeypatch.setattr(costs.importlib.util, "find_spec", lambda _name: None)
    found = costs.profile(make_tiny_bundle().folder, str(pictures))
    assert (found.cuts, found.cut_error) == ((), None)


@pytest.mark.parametrize(
    ("more", "exit_code", "words"),
    [
        (["--predict", "rpi9"], 3, "there is no profile 'rpi9'"),
        (["--predict", "arm64"], 3, "no peaks"),
        (["--device", "none"], 3, "'none'"),
    ],
)
def test_a_mistake_is_one_line(make_tiny_bundle, pictures, quick, more, exit_code, words):
    done = profiled(make_tiny_bundle(), pictures, *more)
    assert (done.exit_code, words in done.stderr) == (exit_code, True)


def test_predict_without_profile_is_a_usage_error(make_tiny_bundle, pictures, tmp_path):
    bundle = make_tiny_bundle()
    done = runner.invoke(app, ["bench", str(bundle.folder), "-o", str(tmp_path), "--source", str(pictures), "--predict", "rpi4"])
    assert (done.exit_code, "it needs --profile" in done.stderr) == (2, True)
