from dataclasses import replace

import onnx
import pytest

from isthmus.errors import UsageError
from isthmus.export import record
from isthmus.export.doors.opening import open_model

CLASSIFIER = """<ir_version: 8, opset_import: ["" : 17]> g (float[n, 3] x) => (float[n, 3] scores) { scores = Relu(x) }"""
FEATURES = """<ir_version: 8, opset_import: ["" : 17]> g (float[n, 3, 4, 4] x) => (float[n, 3, 4, 4] maps) { maps = Relu(x) }"""


@pytest.fixture
def opened(tmp_path):
    def make(text):
        onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
        return open_model(str(tmp_path / "model.onnx"))

    return make


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("my model", "my-model"), ("modèle", "mod-le"), (".hidden", "model-.hidden"), ("网络", "model---"), ("a" * 200, "a" * 128)],
)
def test_every_file_name_becomes_an_identifier(name, identifier):
    assert record.identifier(name) == identifier


def test_names_that_are_given_are_those_of_the_classes(opened):
    assert record.named(opened(CLASSIFIER), ("cat", "dog", "bird"), on_hint=pytest.fail).labels == ("cat", "dog", "bird")


@pytest.mark.parametrize(
    ("text", "words"),
    [(CLASSIFIER, "--labels has 2 names, the network has 3 class scores"), (FEATURES, "this network has no class scores")],
)
def test_names_that_do_not_fit_are_refused(opened, text, words):
    with pytest.raises(UsageError, match=words):
        record.named(opened(text), ("cat", "dog"), on_hint=pytest.fail)


def test_the_models_own_names_are_left_out_loudly_where_they_do_not_fit(opened):
    told = []
    source = replace(opened(CLASSIFIER), labels=("cat", "dog"))
    assert record.named(source, (), on_hint=told.append).labels == ()
    assert told == ["the model names 2 classes and has 3 class scores; they are left out"]
