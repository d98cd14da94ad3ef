import json

import pytest

from isthmus.devices.cost.table import read
from isthmus.errors import ConfigError


def test_what_was_written_is_read_again(table, tmp_path):
    path = tmp_path / "demo.costs.json"
    path.write_text(table.model_dump_json())
    assert read(path) == table


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "'version'"),
        ({"surprise": 1}, "'surprise'"),
        ({"kind": "guessed"}, "'kind'"),
        ({"stages": {"head": {"value": -1, "low": 0, "high": 0}}}, "'stages.head.value'"),
    ],
)
def test_what_is_no_table_of_this_version_names_the_place(table, tmp_path, change, words):
    path = tmp_path / "demo.costs.json"
    path.write_text(json.dumps(json.loads(table.model_dump_json()) | change))
    with pytest.raises(ConfigError, match="is no cost table") as caught:
        read(path)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "\x00"])
def test_what_is_not_json_is_one_line(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match="is not JSON"):
        read(tmp_path / "x.json")


def test_a_table_that_is_not_there_says_what_writes_it(tmp_path):
    with pytest.raises(ConfigError, match="--profile"):
        read(tmp_path / "none.json")
