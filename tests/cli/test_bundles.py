"""`inspect` and `verify`, on a sound bundle and on broken ones."""

import json
import shutil
import sys

import pytest
from typer.testing import CliRunner

from isthmus.bench.words import size
from isthmus.cli.main import app

runner = CliRunner()


@pytest.fixture
def copied(make_tiny_bundle, tmp_path):
    target = tmp_path / "copy"
    shutil.copytree(make_tiny_bundle().folder, target)
    return target


def test_inspect_shows_what_crosses(copied):
    done = runner.invoke(app, ["inspect", str(copied)])
    assert done.exit_code == 0, done.stderr
    assert "int4[4, 4, 4]" in done.output


def test_inspect_gives_the_manifest_as_json(copied):
    rows = json.loads(runner.invoke(app, ["inspect", str(copied), "--json"]).stdout)["rows"]
    assert rows[0]["id"] == "tiny"


def test_verify_passes_a_sound_bundle(copied):
    done = runner.invoke(app, ["verify", str(copied), "--json"])
    assert done.exit_code == 0, done.stderr
    assert [row["name"] for row in json.loads(done.stdout)["rows"]] == ["digests", "codec", "head codes", "tail outputs"]


def test_verify_and_inspect_show_an_int8_head(make_tiny_bundle):
    folder = str(make_tiny_bundle(int8=True).folder)
    names = [row["name"] for row in json.loads(runner.invoke(app, ["verify", folder, "--json"]).output)["rows"]]
    assert names == ["digests", "codec", "head codes", "int8 head codes", "tail outputs"]
    assert "int8 head" in runner.invoke(app, ["inspect", folder]).output


def test_verify_checks_a_filter_and_inspect_shows_its_promise(copied, make_tiny_bundle):
    folder = str(make_tiny_bundle(filtered=0.0).folder)
    names = [row["name"] for row in json.loads(runner.invoke(app, ["verify", folder, "--json"]).output)["rows"]]
    assert names == ["digests", "codec", "head codes", "tail outputs", "filter scores"]
    assert "with 95% confidence at least 99.1% of the events pass" in runner.invoke(app, ["inspect", folder]).output
    assert "with 95% confidence" not in runner.invoke(app, ["inspect", str(copied)]).output


def test_inspect_shows_the_modes_of_the_codec(copied, coded_bundle):
    assert "raw, zstd; no tables" in runner.invoke(app, ["inspect", str(copied)]).output
    as_json = json.loads(runner.invoke(app, ["inspect", str(coded_bundle.folder), "--json"]).output)
    assert as_json["meta"]["codec_modes"] == ["raw", "zstd", "intra", "temporal"]
    shown = runner.invoke(app, ["inspect", str(coded_bundle.folder)]).output
    assert f"raw, zstd, intra, temporal; tables {size(coded_bundle.manifest.files['codec.npz'].size_bytes)}" in shown


def test_verify_passes_a_bundle_with_tables(coded_bundle):
    done = runner.invoke(app, ["verify", str(coded_bundle.folder)])
    assert done.exit_code == 0, done.stderr


def _refused(path):
    done = runner.invoke(app, ["verify", str(path)])
    assert done.exit_code == 4
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def test_a_changed_byte_is_found(copied):
    network = copied / "tail.onnx"
    data = bytearray(network.read_bytes())
    data[len(data) // 2] ^= 1
    network.write_bytes(data)
    assert "tail.onnx" in _refused(copied)


def test_a_truncated_file_is_found(copied):
    network = copied / "head.onnx"
    network.write_bytes(network.read_bytes()[:-10])
    assert "bytes, the manifest says" in _refused(copied)


def test_a_missing_file_is_named(copied):
    (copied / "head.onnx").unlink()
    assert "head.onnx is missing" in _refused(copied)


def test_golden_frames_of_another_network_are_found(make_tiny_bundle):
    wrong = make_tiny_bundle(golden_offset=1.0)
    assert "tail outputs" in _refused(wrong.folder)


def test_nothing_there_is_said(tmp_path):
    assert "there is no bundle" in _refused(tmp_path / "nothing.isthmus")


def test_a_file_that_is_no_bundle_is_said(tmp_path):
    (tmp_path / "b.isthmus").write_bytes(b"hello")
    assert "not a bundle" in _refused(tmp_path / "b.isthmus")


def test_verbose_adds_the_traceback(tmp_path):
    done = runner.invoke(app, ["-v", "verify", str(tmp_path / "nothing")])
    assert "Traceback" in done.stderr


def test_verify_for_tensorrt_names_what_it_would_not_take(copied):
    done = runner.invoke(app, ["verify", str(copied), "--runtime", "tensorrt"])
    assert done.exit_code == 1
    assert "output 'codes': INT8 at an output goes with QuantizeLinear only" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_verify_for_tensorrt_names_the_extra_that_is_missing(copied, monkeypatch):
    monkeypatch.delitem(sys.modules, "isthmus.export.targets.tensorrt", raising=False)
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    done = runner.invoke(app, ["verify", str(copied), "--runtime", "tensorrt"])
    assert done.exit_code == 1
    assert "pip install 'isthmus[export]'" in done.stderr
