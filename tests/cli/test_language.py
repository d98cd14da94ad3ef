import json

import pytest
from typer.testing import CliRunner

from isthmus.cli.main import app
from isthmus.contract.bundle import open_language

runner = CliRunner()


@pytest.fixture
def folder(make_language_folder):
    return str(make_language_folder("llama3"))


def test_a_folder_is_cut_between_two_layers(folder, tmp_path):
    done = runner.invoke(app, ["export", folder, "--cut", "1", "-o", str(tmp_path / "b.isthmus")])
    assert done.exit_code == 0, done.stderr
    assert "1 of 4 layers on the device" in done.output
    assert open_language(tmp_path / "b.isthmus").manifest.cut == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cut", "9"], "--cut 9 of 4 layers"),
        (["--channels", "4"], "--channels means nothing for a language model"),
        (["--bottleneck", "pca"], "--bottleneck means nothing for a language model"),
        (["--local", "model.onnx"], "--local model.onnx: of a language model whole, int8, int4 can be had"),
        (["--data", "nothing.txt"], "--data nothing.txt cannot be read"),
    ],
)
def test_what_does_not_fit_a_language_model_is_one_line(folder, tmp_path, arguments, message):
    done = runner.invoke(app, ["export", folder, "-o", str(tmp_path / "b"), *arguments])
    assert (done.exit_code, len(done.stderr.strip().splitlines())) == (2, 1)
    assert message in done.stderr


def test_options_of_language_models_mean_nothing_for_pictures(tmp_path):
    done = runner.invoke(app, ["export", "model.onnx", "-o", str(tmp_path / "b"), "--positions", "8"])
    assert done.exit_code == 2
    assert "--positions means nothing for a network that is no language model" in done.stderr


def test_inspect_shows_layers_and_networks(language_bundle):
    done = runner.invoke(app, ["inspect", str(language_bundle.origin)])
    assert done.exit_code == 0
    for words in ("LlamaForCausalLM", "1 of 4 layers on the device", "hidden states of 64 values", "tail.onnx", "1 to 3"):
        assert words in done.output


def test_figures_of_a_quantised_model_are_shown(folder, tmp_path):
    (tmp_path / "story.txt").write_text("the head is on the device and the tail is on the server. " * 100)
    output = str(tmp_path / "b")
    arguments = ["--tail-weights", "int4", "--data", str(tmp_path / "story.txt"), "-o", output]
    done = runner.invoke(app, ["export", folder, *arguments])
    assert done.exit_code == 0, done.stderr
    for shown in (done.output, runner.invoke(app, ["inspect", output]).output):
        assert "perplexity" in shown
    assert "of story.txt" in shown


def test_inspect_gives_the_manifest_as_json(language_bundle):
    done = runner.invoke(app, ["inspect", str(language_bundle.origin), "--json"])
    assert json.loads(done.stdout)["rows"][0]["kind"] == "lm"


def test_verify_runs_every_network(language_bundle):
    done = runner.invoke(app, ["verify", str(language_bundle.origin)])
    assert done.exit_code == 0
    assert "tail.onnx" in done.output
    assert "4 of 32 golden rows" in done.output


@pytest.mark.parametrize("command", [["triton", "-o", "repository"], ["evaluate", "--data", "d"]])
def test_commands_for_pictures_refuse_it_in_one_line(language_bundle, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    done = runner.invoke(app, [*command, str(language_bundle.origin)])
    assert done.exit_code != 0
    assert "Traceback" not in done.output
    assert "is the bundle of a language model" in done.output
