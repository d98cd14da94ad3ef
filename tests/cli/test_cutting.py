"""`isthmus cuts` as a user calls it."""

import json

import onnx
import pytest
from typer.testing import CliRunner

from isthmus.cli import guard
from isthmus.cli.main import app

runner = CliRunner()


@pytest.fixture
def network(make_tiny_bundle):
    return make_tiny_bundle().folder / "whole.onnx"


def cut(*arguments):
    return runner.invoke(app, ["cuts", *map(str, arguments)])


def test_the_cut_that_auto_takes_is_marked(network):
    done = cut(network)
    assert done.exit_code == 0, done.stderr
    (marked,) = [line for line in done.stdout.splitlines() if line.startswith("│ >")]
    assert "flat" in marked
    assert "--cut auto" in done.stderr


def test_all_shows_what_the_table_leaves_out(network):
    assert "rounded" not in cut(network).stdout
    assert "rounded" in cut(network, "--all").stdout


def test_names_with_brackets_are_shown_as_they_are(tmp_path):
    text = '<ir_version: 8, opset_import: ["" : 17]> n (float[batch, 4] x) => (float[batch, 4] y) { a = Relu (x) y = Neg (a) }'
    model = onnx.parser.parse_model(text)
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "[/stage[0]/relu]"
    onnx.save(model, tmp_path / "n.onnx")
    done = cut(tmp_path / "n.onnx")
    assert done.exit_code == 0, done.stderr
    assert "[/stage[0]/relu]" in done.stdout


def test_json_has_every_cut_and_everything_of_it(network):
    results = json.loads(cut(network, "--json").stdout)
    rows = {row["tensors"][0]: row for row in results["rows"]}
    assert len(results["rows"]) == 9
    assert rows["codes"]["dtypes"] == ["INT8"]
    assert rows["codes"]["bytes"] == rows["codes"]["values"] == 64
    assert [row["cut"] for row in results["rows"] if row["auto"]] == [results["meta"]["auto"]]
    assert set(rows["codes"]) == {
        "cut", "tensors", "operator", "node", "shapes", "dtypes", "codes", "inputs_crossing", "bytes", "values", "flops_before",
        "flops_share", "parameters_before", "auto",
    }  # fmt: skip


def test_the_plot_is_written(network, tmp_path):
    done = cut(network, "--plot", tmp_path / "cuts.svg")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "cuts.svg").read_text(encoding="utf-8").startswith("<svg xmlns=")


@pytest.mark.parametrize(("name", "code"), [("cuts.png", 2), ("nothing/cuts.svg", 3)])
def test_a_plot_that_cannot_be_is_refused_in_one_line(network, tmp_path, name, code):
    done = cut(network, "--plot", tmp_path / name)
    assert done.exit_code == code
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_narrow_terminal_gets_whole_words(network, monkeypatch):
    monkeypatch.setattr(guard.out, "width", 80)
    done = cut(network, "--all")
    assert "parameters" not in done.stdout
    assert [name for name in ("rounded", "clipped", "FLOPs before") if name not in done.stdout] == []


def test_bottlenecks_that_take_another_automatic_cut_are_told(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 17]> n (float[batch, 4] x) => (float[batch, 4] y)
        <float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, float s = {0.1}, uint8 z = {0}> {
        a = MatMul (x, w) q = QuantizeLinear (a, s, z) d = DequantizeLinear (q, s, z) y = MatMul (d, w) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "n.onnx")
    done = cut(tmp_path / "n.onnx")
    assert done.exit_code == 0, done.stderr
    assert "pca and learned take floats: cut" in " ".join(done.stderr.split())


def test_nothing_is_told_where_every_bottleneck_takes_the_same_cut(network):
    assert "pca and learned" not in cut(network).stderr
