import json
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from isthmus.bench.language.demo import HELD_OUT, model_folder

ROOT = Path(__file__).resolve().parents[3]


def test_every_file_of_the_model_goes_into_the_wheel():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = [f"{model_folder().name}/{file.name}" for file in model_folder().iterdir()]
    assert len(files) >= 5
    assert [file for file in files if not any(fnmatch(file, pattern) for pattern in data["isthmus.bench"])] == []


def test_the_model_is_small_enough_to_ship_and_says_where_it_comes_from():
    assert (model_folder() / "model.safetensors").stat().st_size <= 5_000_000
    said = json.loads((model_folder() / "training.json").read_text())
    assert said["texts"] == ["tinyshakespeare.txt"]
    assert len((model_folder() / HELD_OUT).read_text()) > 100_000
