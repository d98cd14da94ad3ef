"""`isthmus bench` on a folder of pictures, as a user calls it."""

import json

import pytest
from typer.testing import CliRunner

from isthmus.cli.main import app

runner = CliRunner()


def _bench(bundle, pictures, tmp_path, *more):
    arguments = [str(bundle.folder), "-o", str(tmp_path / "out"), "--source", str(pictures), "--no-gate", *more]
    return runner.invoke(app, ["bench", *arguments])


def test_placements_times_links_are_rows(make_tiny_bundle, pictures, tmp_path):
    done = _bench(
        make_tiny_bundle(), pictures, tmp_path, "--links", "20mbit/2ms,unlimited", "--placements", "local,webp-80,split"
    )
    assert done.exit_code == 0, done.stderr
    rows = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert [(row["placement"], row["setting"]) for row in rows] == [
        ("local", "whole"),
        *[("offload", "webp-80")] * 2,
        *[("split", "all"), ("split", "half")] * 2,
    ]
    assert all(row["answered"] == 5 for row in rows)


def test_without_truth_the_unsplit_network_stands_in(make_tiny_bundle, pictures, tmp_path):
    _bench(make_tiny_bundle(), pictures, tmp_path, "--placements", "local", "--links", "unlimited")
    row = json.loads((tmp_path / "out/results.json").read_text())["rows"][0]
    assert row["metric"]["name"] == "agreement"
    assert row["metric"]["value"] == 1.0


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--placements", "cloud"], 3, "cloud"),
        (["--links", "fast"], 2, "fast"),
        (["--placements", " "], 2, "--placements"),
        (["--scenario", "server"], 1, "not built yet"),
    ],
)
def test_a_mistake_is_one_line(make_tiny_bundle, pictures, tmp_path, more, code, words):
    done = _bench(make_tiny_bundle(), pictures, tmp_path, *more)
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
