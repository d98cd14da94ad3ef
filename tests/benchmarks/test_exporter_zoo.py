"""The table of models on tiny ones: a row of every kind, and comparisons that can fail."""

import dataclasses
import json
import subprocess

import onnx_ir as ir
import pytest

from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.doors.opening import open_model

ACCEPTED = {
    "kind": "random weights",
    "outcome": "accepted",
    "reason": "",
    "parameters": 3_400_000,
    "parameter_bytes": 13_600_000,
    "input_bytes": 600_000,
    "cuts": 99,
    "single_cuts": 49,
    "early": {"tensor": "relu", "bytes": 60_000, "flops_share": 0.4},
    "dynamic_batch": True,
    "batches": [1, 3],
    "import_error": 8e-6,
    "split_error": 7e-7,
    "checked": [5, 2],
    "open_cpu_s": 7.0,
    "cut_cpu_s": 0.03,
    "memory_bytes": 27_200_000,
}
META = {
    "command": "python benchmarks/exporter_zoo.py",
    "date": "2026-01-01",
    "versions": {"torch": "2"},
    "machine": {"cores": 2, "cpu_model": "CPU", "architecture": "x86_64", "operating_system": "Linux"},
}


@pytest.fixture
def tiny(program):
    """Entries: one to be taken, one to be refused, one that kills its process."""
    entries = program("zoo.entries")

    def entry(name):
        folder = entries.ROOT / "benchmarks"
        return entries.Entry(name=name, reference=f"zoo.tiny:{name}", kind=entries.RANDOM, folder=folder)

    return [entry(name) for name in ("linear", "undecided", "dying")]


def test_a_run_writes_a_row_of_every_kind_and_ends_with_1_for_the_crash(program, tiny, tmp_path, monkeypatch):
    zoo = program("exporter_zoo")
    monkeypatch.setattr(zoo.entries, "files", lambda _folder: [])
    monkeypatch.setattr(zoo.entries, "architectures", lambda **_options: tiny)
    assert zoo.main(["-o", str(tmp_path / "zoo.md"), "--json", str(tmp_path / "zoo.json")]) == 1
    rows = json.loads((tmp_path / "zoo.json").read_text(encoding="utf-8"))["rows"]
    assert [row["outcome"] for row in rows] == ["accepted", "refused", "failed"]
    assert rows[0]["batches"] == [1, 3]
    assert rows[0]["split_error"] <= 1e-4
    text = (tmp_path / "zoo.md").read_text(encoding="utf-8")
    assert "| linear | 58 | 2, 2 single |" in text
    assert "| undecided | torch does not export Undecided: Could not guard on data-dependent expression" in text
    assert "| dying | killed by SIGABRT |" in text


def test_a_model_that_takes_too_long_is_a_failed_row(program, tiny):
    assert program("exporter_zoo").run(tiny[0], limit_s=0.05) == {"outcome": "failed", "reason": "no result after 0.05 s"}


def test_a_traceback_is_a_failed_row_with_its_last_line(program):
    done = subprocess.CompletedProcess([], 1, stdout="", stderr="Traceback (most recent call last):\nKeyError: 'x'\n")
    assert program("exporter_zoo").parsed(done) == {"outcome": "failed", "reason": "traceback: KeyError: 'x'"}


def test_only_takes_one_model_and_names_the_known_ones_for_another(program, tiny):
    entries = program("zoo.entries")
    assert entries.chosen(tiny, ["undecided"]) == [tiny[1]]
    with pytest.raises(KeyError, match="no model resnet19; there are linear, undecided, dying"):
        entries.chosen(tiny, ["resnet19"])


def test_every_name_of_the_table_is_a_factory(program):
    entries = program("zoo.entries")
    modules = {"zoo.architectures": entries.LIBRARY, "zoo.convolutional": entries.OWN}
    assert [name for module, names in modules.items() for name in names if not callable(getattr(program(module), name))] == []


def test_the_page_has_every_kind_of_row_and_stays_a_table(program):
    refused = {"name": "odd", "kind": "file", "outcome": "refused", "reason": "operator a|b <c> is unknown"}
    failed = {"name": "bad", "kind": "file", "outcome": "failed", "reason": "killed by SIGSEGV"}
    text = program("zoo.page").written(META, [{"name": "good", **ACCEPTED}, refused, failed])
    assert "1 of 3 models come in, every one within 0.0001 of its largest output; 1 are refused, 1 failed." in text
    assert "| good | 3.4 M | 99, 49 single | 60.00 kB at 40%, 0.10 of the input | 8.0e-06 | 7.0e-07 (5+2) |" in text
    assert "27.20 MB, 2.0x |" in text
    assert "| odd | operator a\\|b &lt;c> is unknown |" in text
    assert text.index("## Failed") < text.index("| bad | killed by SIGSEGV |") < text.index("## Architectures")


def test_cuts_to_check_are_spread_from_the_first_to_the_last(program, monkeypatch):
    monkeypatch.chdir(program("zoo.entries").ROOT / "tests" / "export")
    places = cuts.enumerate(open_model("networks:residual").model)
    chosen = program("zoo.checks").spread(places)
    single = [cut.index for cut in places if cut.is_single]
    found = [cut.index for cut in chosen if cut.is_single]
    assert (found[0], found[-1], len(found)) == (single[0], single[-1], 5)
    assert sum(not cut.is_single for cut in chosen) == 2


@pytest.fixture
def source(program):
    program("zoo.tiny")
    return open_model("zoo.tiny:linear")


def test_a_model_that_is_not_its_source_is_a_problem(program, source):
    checks, tiny = program("zoo.checks"), program("zoo.tiny")
    other, _ = tiny.linear()
    other[0].bias.data += 1
    found = checks.compare(dataclasses.replace(source, torch_module=other), checks.spread(cuts.enumerate(source.model)))
    assert found.problem.startswith("the imported model differs from its source by")


def test_halves_that_are_not_the_whole_are_a_problem(program, source, monkeypatch):
    checks = program("zoo.checks")

    def damaged(model, cut):
        made = split(model, cut)
        for weight in made.tail.graph.initializers.values():
            weight.const_value = ir.tensor(weight.const_value.numpy() + 1)
        return made

    monkeypatch.setattr(checks, "split", damaged)
    found = checks.compare(source, checks.spread(cuts.enumerate(source.model)))
    assert found.problem.startswith("head then tail of cut")


def test_answers_that_do_not_move_are_a_problem(program):
    assert "only 0 apart, so nothing was checked" in program("zoo.checks")._problem(0.0, 0.0, 3, 0.0)
