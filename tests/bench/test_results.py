import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isthmus.bench.content import Outcome
from isthmus.bench.results import Latency, Results, Row, percentiles, read_results, wilson, write_csv, write_results
from isthmus.errors import ConfigError

FIELDS_OF_A_ROW = [
    "placement",
    "link",
    "point",
    "frames",
    "dropped",
    "recall",
    "bytes_payload_mean",
    "bytes_wire_mean",
    "latency_ms",
    "stages_ms",
    "energy_j",
    "metric",
]


@pytest.fixture
def results(outcomes: list[Outcome]) -> Results:
    return Results(meta={"command": "isthmus demo", "created": "test data"}, rows=tuple(one.row for one in outcomes))


def test_what_was_written_is_read_again(results: Results, tmp_path: Path) -> None:
    write_results(tmp_path / "new" / "results.json", results)
    assert read_results(tmp_path / "new" / "results.json") == results
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["results.json"]


def test_the_names_in_the_file_are_the_fixed_ones(results: Results, tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", results)
    raw = json.loads((tmp_path / "results.json").read_text())
    assert set(raw) == {"meta", "rows"}
    assert set(raw["rows"][0]) == {*FIELDS_OF_A_ROW, "setting", "answered", "modes", "rate_per_s", "unsteady"}
    assert set(raw["rows"][0]["latency_ms"]) == {"p50", "p90", "p95", "p99"}
    assert set(raw["rows"][0]["metric"]) == {"name", "value", "low", "high"}
    assert raw["rows"][0]["energy_j"] is None


def test_fields_that_this_version_does_not_know_are_kept(results: Results, tmp_path: Path) -> None:
    raw = results.model_dump(mode="json")
    raw["rows"][0]["field_of_the_future"] = {"a": 1}
    (tmp_path / "results.json").write_text(json.dumps(raw))
    write_results(tmp_path / "again.json", read_results(tmp_path / "results.json"))
    assert json.loads((tmp_path / "again.json").read_text()) == raw


@pytest.mark.parametrize("field", FIELDS_OF_A_ROW)
def test_a_row_without_a_field_or_with_a_wrong_one_is_refused(results: Results, tmp_path: Path, field: str) -> None:
    raw = results.model_dump(mode="json")
    raw["rows"][1][field] = object.__name__
    if field in {"placement", "link", "point"}:
        del raw["rows"][1][field]
    (tmp_path / "results.json").write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match=rf"is not a result file: 'rows\.1\.{field}"):
        read_results(tmp_path / "results.json")


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"meta": {}}', "[" * 100_000])
def test_what_is_no_result_file_is_one_line_of_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_results(tmp_path / "results.json")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_results(tmp_path / "results.json")


def test_a_file_that_cannot_be_written_is_told(results: Results, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write"):
        write_results(tmp_path / "file" / "results.json", results)


def test_no_number_is_infinite(results: Results) -> None:
    with pytest.raises(ValidationError):
        Row.model_validate({**results.rows[0].model_dump(), "bytes_payload_mean": float("inf")})


def test_csv_has_a_line_for_each_row_and_a_column_for_each_figure(results: Results, tmp_path: Path) -> None:
    write_csv(tmp_path / "results.csv", results.rows)
    lines = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [line["placement"] for line in lines] == [row.placement for row in results.rows]
    assert float(lines[1]["latency_ms.p99"]) == results.rows[1].latency_ms.p99
    assert float(lines[3]["stages_ms.network"]) == 23.4
    assert lines[0]["stages_ms.network"] == lines[0]["link"] == ""
    assert lines[1]["dropped.deadline"] == "3"


def test_percentiles_of_known_values() -> None:
    found = percentiles([*range(101)])
    assert found == Latency(p50=50.0, p90=90.0, p95=95.0, p99=99.0)


def test_percentiles_of_nothing_are_unknown_and_not_zero() -> None:
    assert percentiles([]) == Latency(p50=None, p90=None, p95=None, p99=None)


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_rise_and_stay_among_the_values(values: list[float]) -> None:
    found = percentiles(values)
    ranked = [found.p50, found.p90, found.p95, found.p99]
    known = [value for value in ranked if value is not None]
    assert known == sorted(known)
    assert min(values) <= known[0]
    assert known[-1] <= max(values)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(9, 10, 0.595850, 0.982124), (50, 100, 0.403832, 0.596168), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0)],
)
def test_wilson_interval_of_known_counts(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((successes / trials, low, high), abs=1e-6)


def test_wilson_knows_nothing_without_trials() -> None:
    assert wilson(0, 0) == (0.0, 0.0, 1.0)
