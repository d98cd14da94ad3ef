import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from isthmus.errors import ExportError
from isthmus.export.language import reference, tensors
from isthmus.export.language.tensors import FolderTensors

EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture
def folder(make_language_folder):
    return make_language_folder()


def test_rows_columns_and_single_rows_are_those_of_the_matrix(folder, monkeypatch):
    monkeypatch.setattr(tensors, "ROW_VALUES", 64 * 7)
    monkeypatch.setattr(tensors, "COLUMN_VALUES", 300 * 7)
    expected = load_file(folder / "model.safetensors")[EMBEDDING]
    with FolderTensors(folder) as opened:
        np.testing.assert_array_equal(np.concatenate(list(opened.rows(EMBEDDING))), expected)
        np.testing.assert_array_equal(np.concatenate(list(opened.columns(EMBEDDING))), expected.T)
        np.testing.assert_array_equal(opened.take(EMBEDDING, [5, 0, 299]), expected[[5, 0, 299]])
        assert (opened.shape(EMBEDDING), opened.size(EMBEDDING)) == ((300, 64), 300 * 64)


def test_closed_files_are_opened_again(folder):
    with FolderTensors(folder) as opened:
        before = opened.read("model.norm.weight")
        opened.forget()
        np.testing.assert_array_equal(opened.read("model.norm.weight"), before)


def test_the_reference_holds_no_matrix_of_the_vocabulary(folder, monkeypatch):
    read = []
    original = FolderTensors.read
    monkeypatch.setattr(FolderTensors, "read", lambda self, name: read.append(name) or original(self, name))
    logits = reference.logits(folder, np.arange(9), keep=4)
    assert logits.shape == (4, 300)
    assert "model.layers.3.mlp.up_proj.weight" in read
    assert not {EMBEDDING, "lm_head.weight"} & set(read)


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ExportError, match=r"pickled weights are not read"):
        FolderTensors(folder)


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x08\0\0\0\0\0\0\0nonsense"], ids=repr)
def test_a_damaged_file_is_one_line(folder, data):
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(ExportError, match=r"model\.safetensors (cannot be read|is no file of safetensors)"):
        FolderTensors(folder)


@pytest.mark.parametrize("places", [{"model.norm.weight": "../elsewhere"}, {"model.norm.weight": 1}, []], ids=repr)
def test_an_index_that_leads_elsewhere_is_refused(folder, places):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(ExportError, match="no weight_map of files beside it"):
        FolderTensors(folder)


def test_a_shard_that_is_missing_is_one_line(make_language_folder):
    folder = make_language_folder(shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with FolderTensors(folder) as opened, pytest.raises(ExportError, match=r"model-00002-of-00002\.safetensors cannot be read"):
        [opened.shape(name) for name in json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]]
