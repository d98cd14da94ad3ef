"""`isthmus bench` on a folder of pictures, as a user calls it."""

import json

import cv2
import pytest
from typer.testing import CliRunner

from isthmus.bench import placements
from isthmus.cli.main import app
from isthmus.codec import predictive

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
    # gRPC adds something to every frame that is sent, and warm-up frames take their part of it.
    beside = [row["bytes_wire_mean"] - row["bytes_payload_mean"] for row in rows]
    assert beside[0] == 0
    assert all(20 < extra < 2000 for extra in beside[1:])


def test_the_programs_are_started_anew_and_two_runs_can_be_compared(make_tiny_bundle, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(placements, "FRAMES_PER_START_MIN", 2)
    done = _bench(
        make_tiny_bundle(), pictures, tmp_path, "--links", "unlimited", "--placements", "local,webp-80", "--starts", "2"
    )
    assert done.exit_code == 0, done.stderr
    lines = (tmp_path / "out/samples.csv").read_text().splitlines()[1:]
    assert [line.split(",")[:3] for line in lines[5:]] == [["1", "0" if frame < 3 else "1", str(frame)] for frame in range(5)]
    runs = [str(tmp_path / "out"), str(tmp_path / "out/results.json")]
    compared = runner.invoke(app, ["bench", "--compare", *runs, "--json", "-o", str(tmp_path / "compared")])
    told = json.loads(compared.stdout)
    assert (told["meta"]["differs"], told["meta"]["regressions"]) == ([], [])
    assert {change["difference"] for row in told["rows"] for change in row["changes"]} == {0.0}
    assert "No change is seen" in (tmp_path / "compared/report.html").read_text()


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
        (["--scenario", "server"], 2, "needs --rate"),
        (["--scenario", "server", "--rate", "often"], 2, "--rate 'often' is not a rate"),
    ],
)
def test_a_mistake_is_one_line(make_tiny_bundle, pictures, tmp_path, more, code, words):
    done = _bench(make_tiny_bundle(), pictures, tmp_path, *more)
    assert done.exit_code == code, done.stderr
    assert words in done.stderr


@pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built")
def test_a_still_scene_crosses_as_temporal_frames(coded_bundle, pictures, tmp_path):
    still = cv2.imread(str(pictures / "0.png"))
    for name in pictures.iterdir():
        cv2.imwrite(str(name), still)
    done = _bench(coded_bundle, pictures, tmp_path, "--placements", "split,webp-80", "--links", "unlimited")
    assert done.exit_code == 0, done.stderr
    assert "5 frames temporal" in done.stdout
    full, half, offload = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert (full["modes"], half["modes"], offload["modes"]) == ({"temporal": 5}, {"temporal": 5}, {})


def test_a_bundle_without_tables_crosses_plainly(tiny_bundle, pictures, tmp_path):
    _bench(tiny_bundle, pictures, tmp_path, "--placements", "split", "--links", "unlimited")
    rows = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert all(set(row["modes"]) <= {"raw", "zstd"} and sum(row["modes"].values()) == 5 for row in rows)


@pytest.mark.parametrize(
    ("more", "rates"),
    [
        (["server", "--rate", "200/s", "--streams", "2"], True),
        (["offline"], True),
        (["multi-stream", "--streams", "2"], True),
        (["single-stream"], False),
    ],
)
def test_every_scenario_answers_every_frame(tiny_bundle, pictures, tmp_path, more, rates):
    done = _bench(tiny_bundle, pictures, tmp_path, "--placements", "local,split", "--links", "unlimited", "--scenario", *more)
    assert done.exit_code == 0, done.stderr
    told = json.loads((tmp_path / "out/results.json").read_text())
    assert told["meta"]["scenario"] == more[0]
    assert {(row["answered"], row["metric"]["value"]) for row in told["rows"][:2]} == {(5, 1.0)}
    assert [row["rate_per_s"] is not None for row in told["rows"]] == [rates] * 3
    assert ["wait" in row["stages_ms"] for row in told["rows"]] == [rates] * 3


def test_cold_starts_are_timed_for_server_and_agent(tiny_bundle, pictures, tmp_path):
    done = _bench(tiny_bundle, pictures, tmp_path, "--placements", "local,split", "--links", "unlimited", "--cold", "1")
    assert done.exit_code == 0, done.stderr
    started = json.loads((tmp_path / "out/results.json").read_text())["meta"]["cold_start"]
    assert [one["program"] for one in started] == ["serve", "run --placement local", "run --placement split"]
    assert all(one["first_answer_s"][0] > 0 for one in started)
    assert started[0]["ready_s"] < started[0]["first_answer_s"]
    assert "Cold start of `isthmus serve`" in done.stdout


def test_the_report_tells_the_command_that_was_typed(tiny_bundle, pictures, tmp_path):
    _bench(tiny_bundle, pictures, tmp_path, "--placements", "local", "--frames", "2")
    command = json.loads((tmp_path / "out/results.json").read_text())["meta"]["command"]
    folders = f"{tiny_bundle.folder} --output {tmp_path / 'out'} --source {pictures}"
    assert command == f"isthmus bench {folders} --placements local --frames 2 --no-gate"
