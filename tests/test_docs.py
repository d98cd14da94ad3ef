"""Documentation that can break: links, examples, and what it says of the code."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from isthmus.bench import programs
from isthmus.bench.results import Row
from isthmus.contract.bundle import open_bundle
from isthmus.errors import IsthmusError
from isthmus.export.doors import opening
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.training import recipe
from isthmus.export.training.settings import TrainingSettings
from isthmus.head.record import DROP_REASONS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_example_answers_every_picture(make_tiny_bundle, pictures):
    bundle = make_tiny_bundle()
    with programs.server(bundle.folder) as server:
        command = [sys.executable, ROOT / "examples/answer_pictures.py", bundle.folder, pictures, server.match["grpc"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == [f"{index}.png" for index in range(5)]


def test_the_bottleneck_of_the_page_is_exported(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/bottlenecks.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    np.savez("pictures.npz", images=np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8))
    with contextlib.chdir(ROOT / "tests/export"):
        ir.save(opening.open_model("networks:residual").model, tmp_path / "teacher.onnx")
    exec(compile(example, "docs/bottlenecks.md", "exec"), {"__name__": "example"})
    assert "channels=(4,)" in capsys.readouterr().out
    assert open_bundle("own.isthmus").manifest.bottleneck == "own"


def test_modules_and_a_loss_of_the_user_are_trained_as_the_page_says(tmp_path, monkeypatch):
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    [python] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    Path("mine.py").write_text(python)
    Path("mine.toml").write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[1])
    np.savez("pictures.npz", images=np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8))
    settings = ExportSettings(
        cut="relu",
        data=Path("pictures.npz"),
        int8="off",
        training=TrainingSettings(recipe=recipe.load("mine.toml"), steps=3, batch=4),
    )
    with contextlib.chdir(ROOT / "tests/export"):
        ir.save(opening.open_model("networks:residual").model, tmp_path / "teacher.onnx")
    made = export("teacher.onnx", Path("mine.isthmus"), settings)
    assert (made.bundle.manifest.training.recipe, made.learned.encoder[0].kernel_size) == ("mine", (8, 8))


def test_the_keys_of_a_recipe_on_the_page_are_those_that_there_are():
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    shown = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    assert recipe.parse(shown, "docs/recipes.md").name == "mine"
    parts = (
        recipe.Recipe,
        recipe.Views,
        recipe.Stage,
        recipe.Matched,
        recipe.Answers,
        recipe.Rate,
        recipe.Optimiser,
        recipe.Schedule,
    )
    assert [key for part in parts for key in part.model_fields if key not in page] == []


def test_result_fields_are_documented():
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert [name for name in Row.model_fields if f"`{name}`" not in text] == []


def test_exit_codes_in_the_docs_are_those_of_the_errors():
    text = " ".join((ROOT / "docs/cli.md").read_text(encoding="utf-8").split())
    codes = {kind.exit_code for kind in _all_errors(IsthmusError)}
    assert codes == {1, 2, 3, 4, 5}
    four = "4 bundle damaged, missing, unsigned or of another contract"
    assert f"0 ok, 1 failed, 2 usage, 3 configuration, {four}, 5 server unreachable" in text


def _all_errors(kind):
    return [kind, *(found for child in kind.__subclasses__() for found in _all_errors(child))]


def test_every_drop_reason_is_documented():
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert [reason for reason in DROP_REASONS if f"| `{reason}` |" not in text] == []
