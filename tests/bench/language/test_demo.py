import json
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from tokenizers import Tokenizer

from isthmus.bench.language.demo import WRITTEN, model_folder
from isthmus.codec.hidden import principal

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


def test_the_text_beside_it_gives_rows_enough_for_directions():
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    rows = len(tokenizer.encode((model_folder() / WRITTEN).read_text()).ids)
    assert rows >= 2 * principal.ROWS_MIN * 256
