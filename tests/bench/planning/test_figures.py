import json

import pytest

from isthmus.bench.planning import figures
from isthmus.errors import ConfigError


def test_settings_have_the_names_of_placements(tiny_bundle, make_evaluation):
    found = figures.read(tiny_bundle, make_evaluation(tiny_bundle))
    assert (found.points["all"].bytes_mean, found.unsplit.value) == (420.0, 0.9)
    assert set(found.pictures) == {"jpeg-75", "webp-50"}


def test_of_two_heads_the_first_counts_for_that_is_what_the_device_runs(tiny_bundle, make_evaluation):
    path = make_evaluation(tiny_bundle)
    raw = json.loads(path.read_text())
    raw["rows"].append(raw["rows"][0] | {"bytes_mean": 999.0})
    path.write_text(json.dumps(raw))
    assert figures.read(tiny_bundle, path).points["all"].bytes_mean == 420.0


def test_a_bundle_without_figures_says_how_to_get_them(tiny_bundle):
    with pytest.raises(ConfigError, match=r"nobody knows what .* is worth; `isthmus evaluate"):
        figures.read(tiny_bundle)


def test_figures_of_another_bundle_are_refused(tiny_bundle, coded_bundle, make_evaluation):
    with pytest.raises(ConfigError, match="is of another bundle"):
        figures.read(tiny_bundle, make_evaluation(coded_bundle))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1", "cannot be read"),
        ("[" * 9999, "cannot be read"),
        ("[]", "cannot be read"),
        ('{"meta": {}, "rows": []}', "is of another bundle"),
        ('{"meta": null, "rows": 7}', "cannot be read"),
    ],
)
def test_whatever_else_a_file_holds_is_one_line(tiny_bundle, tmp_path, text, words):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        figures.read(tiny_bundle, tmp_path / "file.json")
    assert "\n" not in str(caught.value)


def test_figures_without_the_unsplit_network_are_refused(tiny_bundle, make_evaluation):
    path = make_evaluation(tiny_bundle)
    raw = json.loads(path.read_text())
    raw["rows"] = [row for row in raw["rows"] if row.get("rival") != "local"]
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="no figures of the unsplit network"):
        figures.read(tiny_bundle, path)
