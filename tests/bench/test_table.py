import io

from rich.console import Console

from isthmus.bench.content import Outcome
from isthmus.bench.results import Latency, Row
from isthmus.bench.table import energy_lines, results_table, stage_lines


def shown(rows: list[Row], title: str = "") -> list[str]:
    console = Console(width=240, record=True, file=io.StringIO())
    console.print(results_table(rows, title=title))
    return console.export_text().splitlines()


def test_a_row_shows_accuracy_bytes_and_latency(outcomes: list[Outcome]) -> None:
    line = next(line for line in shown([one.row for one in outcomes]) if "split full" in line)
    for words in ("97.3%", "95.9 to 98.3%", "2210", "99.7%", "214 B", "421 B"):
        assert words in line


def test_stage_lines_name_the_link_and_the_longest_stages_first(outcomes: list[Outcome]) -> None:
    line = next(line for line in stage_lines([one.row for one in outcomes]) if line.startswith("split full"))
    assert "over 1mbit/20ms: network 23.4, server compute 6.90" in line


def test_the_modes_of_the_codec_stand_behind_the_stages(outcomes: list[Outcome]) -> None:
    row = outcomes[-1].row.model_copy(update={"modes": {"temporal": 640, "intra": 60}})
    (line,) = stage_lines([row])
    assert line.endswith("; 640 frames temporal, 60 intra")


def test_what_was_not_measured_is_a_dash_and_no_zero(outcomes: list[Outcome]) -> None:
    row = outcomes[0].row.model_copy(update={"latency_ms": Latency(), "recall": None, "stages_ms": {}})
    line = next(line for line in shown([row]) if "local" in line)
    assert line.split().count("-") == 4


def test_energy_stands_with_its_source_and_never_alone(outcomes: list[Outcome]) -> None:
    measured = {"kind": "measured", "value": 0.02, "low": 0.019, "high": 0.021, "source": "rapl package-0", "scope": "package"}
    rows = [outcomes[0].row.model_copy(update={"energy_j": measured}), outcomes[3].row]
    assert energy_lines(rows) == [
        "local: 20.0 ± 1.0 mJ measured, rapl package-0, scope package",
        "split full over 1mbit/20ms: not measured",
    ]
    assert energy_lines([outcomes[3].row]) == []


def test_markup_in_a_setting_is_shown_as_it_is(outcomes: list[Outcome]) -> None:
    row = outcomes[0].row.model_copy(update={"setting": "[red]x[/red]"})
    assert any("local [red]x[/red]" in line for line in shown([row], title="[bold]t"))


def test_no_rows_make_an_empty_table() -> None:
    assert any("placement" in line for line in shown([]))


def test_a_rate_has_a_column_where_there_was_load(outcomes: list[Outcome]) -> None:
    rows = [outcomes[0].row.model_copy(update={"rate_per_s": 47.25}), outcomes[3].row]
    assert any(line.split()[-1:] == ["47.2"] for line in shown(rows))
    assert not any("rate/s" in line for line in shown(rows[1:]))
