"""`isthmus triton` as a user calls it."""

import json

from typer.testing import CliRunner

from isthmus.cli.main import app

runner = CliRunner()


def triton(*arguments):
    return runner.invoke(app, ["triton", *map(str, arguments)])


def test_the_models_and_the_next_step_are_told(tiny_bundle, tmp_path):
    done = triton(tiny_bundle.folder, "-o", tmp_path / "models")
    assert done.exit_code == 0, done.stderr
    assert "codes INT8[4, 4, 4]" in done.stdout
    assert f"--model-repository={tmp_path / 'models'}" in done.stderr.replace("\n", "")


def test_json_tells_names_and_shapes(tiny_bundle, tmp_path):
    rows = json.loads(triton(tiny_bundle.folder, "-o", tmp_path / "models", "--json", "--version", 7).stdout)["rows"]
    assert [row["model"] for row in rows] == ["tiny", "tiny_whole"]
    assert rows[0]["inputs"] == [{"name": "codes", "data_type": "TYPE_INT8", "dims": [4, 4, 4]}]
    assert rows[0]["version"] == 7


def test_a_folder_of_other_things_is_a_mistake_of_one_line(tiny_bundle, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = triton(tiny_bundle.folder, "-o", tmp_path)
    assert done.exit_code == 3
    assert len(done.stderr.strip().splitlines()) == 1
