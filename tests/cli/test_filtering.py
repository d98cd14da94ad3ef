"""`isthmus filter`, and `isthmus export --filter`."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from isthmus.cli.main import app
from isthmus.contract.bundle import open_bundle

runner = CliRunner()
EVENTS = [(first, first + 7) for first in range(10, 250, 24)]
"""Ten."""


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A folder of frames, and `labels.csv` beside it."""
    place = tmp_path_factory.mktemp("film")
    (place / "frames").mkdir()
    random = np.random.default_rng(0)
    for index in range(260):
        image = np.clip(random.normal(90, 6, (32, 32, 3)), 0, 255).astype(np.uint8)
        if any(first <= index <= last for first, last in EVENTS):
            row, column = random.integers(0, 20, 2)
            image[row : row + 12, column : column + 12] = (40, 220, 240)
        cv2.imwrite(str(place / f"frames/{index}.png"), image)
    (place / "labels.csv").write_text("first,last\n" + "".join(f"{first},{last}\n" for first, last in EVENTS))
    return place / "frames"


@pytest.fixture
def quick(monkeypatch):
    """Training of the filter is short."""
    from isthmus.export.filtering import making

    monkeypatch.setattr(
        making.FilterSettings.__init__, "__kwdefaults__", {**making.FilterSettings.__init__.__kwdefaults__, "steps": 80}
    )


def filtered(bundle, film, output, *options):
    arguments = [
        "filter",
        bundle.folder,
        film,
        "-o",
        output,
        "--labels",
        film.parent / "labels.csv",
        "--pause",
        "500ms",
        *options,
    ]
    return runner.invoke(app, list(map(str, arguments)))


@pytest.mark.usefixtures("quick")
def test_a_bundle_with_a_filter_is_written_and_verified(tiny_bundle, film, tmp_path):
    done = filtered(tiny_bundle, film, tmp_path / "b.isthmus", "--recall", "0.4", "--nothing", "a", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["part"] for row in result["rows"]] == ["train", "calibration", "test"]
    assert (result["meta"]["labels"], result["meta"]["certified"]) == ("annotations labels.csv", True)
    assert result["meta"]["contract_digest"] == open_bundle(tmp_path / "b.isthmus").digest
    assert runner.invoke(app, ["verify", str(tmp_path / "b.isthmus")]).exit_code == 0


@pytest.mark.usefixtures("quick")
def test_people_see_the_figures_and_a_warning_where_they_promise_less_than_wanted(tiny_bundle, film, tmp_path):
    done = filtered(tiny_bundle, film, tmp_path / "b", "--uncertified")
    assert done.exit_code == 0, done.stderr
    assert "calibration" in done.stdout
    assert "not certified" in " ".join(done.stderr.split())


@pytest.mark.usefixtures("quick")
def test_whole_films_may_be_for_calibration_and_test(tiny_bundle, film, tmp_path):
    own = ["--calibration", film, "--test", film, "--recall", "0.7", "--json"]
    done = filtered(tiny_bundle, film, tmp_path / "b", *own)
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["events"] for row in result["rows"]] == [10, 10, 10]
    assert result["meta"]["parting"] == "film cut in time between events; calibration: whole films; test: whole films"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 1, "99.0% is wanted, which takes 299"),
        (["--recall", "1"], 2, "--recall 1 has to lie between 0 and 1"),
        (["--labels", "guess"], 2, "--labels 'guess' is not known"),
        (["--labels", "folders"], 2, "needs the names of the folders"),
        (["--labels", "model"], 1, "with --nothing"),
        (["--pause", "soon"], 2, "--pause 'soon' is not a duration"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(tiny_bundle, film, tmp_path, options, code, message):
    done = filtered(tiny_bundle, film, tmp_path / "b", *options)
    assert done.exit_code == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "b").exists()


def test_a_camera_is_no_film(tiny_bundle, tmp_path, monkeypatch):
    from isthmus.export.filtering import labels

    monkeypatch.setattr(labels, "choose", lambda *_, **__: labels.SourceLabels())
    done = runner.invoke(app, ["filter", str(tiny_bundle.folder), "cmd:sleep 9", "-o", str(tmp_path / "b"), "--labels", "source"])
    assert done.exit_code in (1, 2)
    assert "does not end" in done.stderr or "gave no frame" in done.stderr
