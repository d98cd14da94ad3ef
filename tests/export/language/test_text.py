import json

import numpy as np
import pytest

from isthmus.errors import ExportError, UsageError
from isthmus.export.language import text


@pytest.fixture
def folder(make_language_folder):
    return make_language_folder()


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text("the head is on the device and the tail is on the server. " * 200)
    return path


def read(path, folder, **limits):
    return text.read(path, folder, **{"vocabulary": 300, "positions": 64} | limits)


def test_windows_to_learn_from_and_to_measure_on_are_others(story, folder):
    found = read(story, folder)
    assert (found.name, found.calibration.shape, found.measured.shape) == ("story.txt", (16, 64), (16, 64))
    assert found.measured.dtype == np.int64


def test_what_the_tokenizer_puts_before_a_text_begins_every_window(story, folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    found = read(story, folder)
    assert (found.measured[:, 0] == 0).all()
    assert found.measured.shape == (16, 64)


def test_a_short_text_has_fewer_windows(story, folder):
    story.write_text("the head is on the device and the tail is on the server. " * 12)
    assert 1 <= len(read(story, folder).measured) < 16


@pytest.mark.parametrize(
    ("content", "message"), [(b"too short", "tokens, at least 128 are needed"), (b"\xff\xfe" * 9, "is no text in UTF-8")]
)
def test_a_text_that_is_none_is_a_usage_error(story, folder, content, message):
    story.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read(story, folder)


def test_a_text_that_is_not_there_is_a_usage_error(folder, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "nothing.txt", folder)


def test_a_folder_without_a_tokenizer_is_a_usage_error(story, folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match="needs the model's tokenizer"):
        read(story, folder)


def test_a_damaged_tokenizer_is_one_line(story, folder):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ExportError, match=r"tokenizer\.json cannot be read"):
        read(story, folder)


def test_a_tokenizer_of_another_model_is_refused(story, folder):
    with pytest.raises(ExportError, match="the model has 100"):
        read(story, folder, vocabulary=100)
