"""Mistakes that `export` must find before it works for minutes."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from isthmus.cli import filtering
from isthmus.cli.main import app
from isthmus.contract.bundle import open_bundle
from isthmus.errors import ExportError

runner = CliRunner()


def _export(*arguments):
    return runner.invoke(app, ["export", *map(str, arguments)])


def test_an_output_that_cannot_be_written_is_found_first(make_tiny_bundle, pictures):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(whole, "-o", "/proc/nothing.isthmus", "--data", pictures)
    assert done.exit_code == 3
    assert "cannot be written" in done.stderr
    assert "training" not in done.stderr


def test_a_seed_below_zero_is_a_wrong_option(make_tiny_bundle, pictures, tmp_path):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(whole, "-o", tmp_path / "b.isthmus", "--data", pictures, "--seed", "-1")
    assert done.exit_code == 2
    assert "--seed" in done.stderr


def test_the_model_itself_is_no_output(make_tiny_bundle, pictures):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(whole, "-o", whole, "--data", pictures)
    assert done.exit_code == 4
    assert "is a file that is not a bundle" in done.stderr.replace("\n", " ")
    assert "opening" not in done.stderr


def test_a_share_above_the_whole_is_no_cut(make_tiny_bundle, pictures, tmp_path):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(whole, "-o", tmp_path / "b.isthmus", "--data", pictures, "--cut", "250%")
    assert done.exit_code == 2
    assert "250%" in done.stderr


def test_what_was_measured_is_printed(make_tiny_bundle, pictures, tmp_path):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(
        whole, "-o", tmp_path / "b.isthmus", "--data", pictures, "--cut", "folded", "--bottleneck", "none", "--bits", 8
    )
    assert done.exit_code == 0, done.stderr
    assert "agreement" in done.stdout


def test_pictures_that_are_not_there_are_found_before_the_model_is_opened(make_tiny_bundle, tmp_path):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(whole, "-o", tmp_path / "b.isthmus", "--data", tmp_path / "nothing")
    assert done.exit_code == 1
    assert "there are no pictures at" in done.stderr
    assert "opening" not in done.stderr


def test_no_pictures_at_all_are_asked_for_before_the_model_is_opened(make_tiny_bundle, tmp_path):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(whole, "-o", tmp_path / "b.isthmus", "--bottleneck", "pca")
    assert done.exit_code == 2
    assert "--bottleneck pca needs pictures" in done.stderr
    assert "opening" not in done.stderr


def test_a_head_that_is_nearly_the_whole_network_is_told(make_tiny_bundle, pictures, tmp_path):
    whole = make_tiny_bundle().folder / "whole.onnx"
    done = _export(whole, "-o", tmp_path / "b.isthmus", "--data", pictures, "--cut", "flat", "--bottleneck", "none")
    assert done.exit_code == 0, done.stderr
    assert "saves the device nothing" in done.stderr


def test_the_weight_of_the_rate_reaches_the_training(make_tiny_bundle, pictures, tmp_path):
    whole, output = make_tiny_bundle().folder / "whole.onnx", tmp_path / "b.isthmus"
    done = _export(whole, "-o", output, "--data", pictures, "--cut", "folded", "--budget", "1s", "--rate-weight", "0.5")
    assert done.exit_code == 0, done.stderr
    assert open_bundle(output).manifest.training.stages[0]["recipe"]["stages"][-1]["rate"]["weight"] == 0.5


def test_an_unknown_recipe_is_refused_before_the_model_is_opened(pictures, tmp_path):
    done = _export("no.onnx", "-o", tmp_path / "b", "--data", pictures, "--recipe", "botlefit")
    assert done.exit_code == 2
    assert "did you mean bottlefit?" in " ".join(done.stderr.split())


def test_a_recipe_with_a_wrong_key_is_a_configuration_error_in_one_line(pictures, tmp_path):
    (tmp_path / "mine.toml").write_text('name = "mine"\nstags = 1\n')
    done = _export("no.onnx", "-o", tmp_path / "b", "--data", pictures, "--recipe", tmp_path / "mine.toml")
    assert done.exit_code == 3
    assert "there is no key stags; did you mean stages?" in " ".join(done.stderr.split())


def test_points_and_bytes_that_are_asked_for_reach_the_training(make_tiny_bundle, pictures, tmp_path):
    whole, output = make_tiny_bundle().folder / "whole.onnx", tmp_path / "b.isthmus"
    asked = ("--budget", "1s", "--channels", "4", "--nested", "--target-bytes", "20")
    done = _export(whole, "-o", output, "--data", pictures, "--cut", "folded", *asked)
    assert done.exit_code == 0, done.stderr
    manifest = open_bundle(output).manifest
    assert [point.channels for point in manifest.points] == [(4,), (2,), (1,)]
    assert manifest.training.stages[0]["target_bytes"] == 20
    assert "20 were asked for" in " ".join(done.stderr.split())


def test_the_answers_of_another_network_are_learned_and_the_bundle_says_whose(make_tiny_bundle, pictures, tmp_path):
    whole, output = make_tiny_bundle().folder / "whole.onnx", tmp_path / "b.isthmus"
    asked = ("--budget", "1s", "--teacher", whole, "--teacher", whole)
    done = _export(whole, "-o", output, "--data", pictures, "--cut", "folded", *asked)
    assert done.exit_code == 0, done.stderr
    assert open_bundle(output).manifest.training.stages[0]["teachers"] == [str(whole)] * 2


def test_a_teacher_of_other_outputs_or_of_what_does_not_learn_is_refused_in_one_line(
    make_tiny_bundle, pictures, tmp_path, tiny_detector
):
    whole, output = make_tiny_bundle().folder / "whole.onnx", tmp_path / "b.isthmus"
    for options, words in (
        (("--budget", "1s", "--teacher", tiny_detector), f"--teacher {tiny_detector}: its input is FLOAT"),
        (("--bottleneck", "none", "--teacher", whole), "--bottleneck none trains nothing; leave it out"),
    ):
        done = _export(whole, "-o", output, "--data", pictures, "--cut", "folded", *options)
        assert done.exit_code != 0
        assert words in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("fails", [False, True])
def test_a_filter_is_made_in_one_go_and_where_it_cannot_be_the_bundle_stays(
    make_tiny_bundle, pictures, tmp_path, monkeypatch, fails
):
    record = make_tiny_bundle(filtered=0.0).manifest.filter

    def add(bundle, _output, film, _settings):
        assert film == ["monday.mp4"]
        if fails:
            raise ExportError("the calibration part has 2 events")
        return replace(bundle, manifest=bundle.manifest.model_copy(update={"filter": record}))

    monkeypatch.setattr(filtering, "add_filter", add)
    monkeypatch.setattr(filtering, "show", lambda shown: print(shown.promise))
    whole = make_tiny_bundle().folder / "whole.onnx"
    options = ["--cut", "folded", "--bottleneck", "none", "--bits", "8", "--filter", "monday.mp4"]
    done = _export(whole, "-o", tmp_path / "b", "--data", pictures, *options)
    assert done.exit_code == int(fails), done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert ("is written without a filter and unsigned" in said) == fails
    assert ("99.1% of the events pass" in said) == (not fails)
    assert open_bundle(tmp_path / "b").manifest.filter is None


def test_a_number_of_bytes_without_a_training_is_a_wrong_use(pictures, tmp_path):
    done = _export("no.onnx", "-o", tmp_path / "b", "--data", pictures, "--bottleneck", "pca", "--target-bytes", "100")
    assert done.exit_code == 2
    assert "--bottleneck pca trains nothing" in " ".join(done.stderr.split())


def test_a_number_of_bytes_for_codes_that_are_found_afterwards_is_a_wrong_use(make_tiny_bundle, pictures, tmp_path):
    whole = make_tiny_bundle().folder / "whole.onnx"
    asked = ("--cut", "folded", "--recipe", "hnd", "--target-bytes", "20")
    done = _export(whole, "-o", tmp_path / "b", "--data", pictures, *asked)
    assert done.exit_code == 2
    assert "recipe hnd finds its codes after training" in " ".join(done.stderr.split())
