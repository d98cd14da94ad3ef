"""What an export costs, on a tiny network."""

import json

TINY = ["--model", "zoo.tiny:classifier", "--pictures", "20", "--side", "32", "--bottleneck", "none"]


def test_an_export_is_measured_against_the_size_of_its_network(program, tmp_path):
    assert program("exporter_cost").main([*TINY, "--json", str(tmp_path / "cost.json")]) == 0
    (row,) = json.loads((tmp_path / "cost.json").read_text(encoding="utf-8"))["rows"]
    assert row["bottleneck"] == "none"
    assert row["cpu_s"] > 0
    assert row["growth_mb"] > 0
    assert {"head.onnx", "tail.onnx", "whole.onnx"} <= set(row["files"])
    assert all(value <= 1e-3 for value in row["gates"].values())


def test_a_refused_export_is_a_row_with_its_line_and_exit_1(program, capsys):
    assert program("exporter_cost").main([*TINY, "--cut", "nowhere"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["refused"].startswith("isthmus: no tensor or node 'nowhere' to cut at")
