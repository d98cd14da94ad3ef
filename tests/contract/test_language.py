import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from isthmus.contract.bundle import open_any, open_bundle, open_language, parse_manifest
from isthmus.contract.bundle_writing import write_language
from isthmus.contract.language import LanguageManifest
from isthmus.contract.sealing import sign_bundle
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleError

MANIFEST = {
    "kind": "lm",
    "id": "tiny",
    "files": {},
    "opset": 20,
    "onnxruntime_min": "1.20",
    "architecture": "LlamaForCausalLM",
    "layout": "head-tail",
    "layers": 4,
    "width": 64,
    "vocabulary": 300,
    "positions_max": 256,
    "cache": "shared",
    "key_values": [{"layers": 4, "heads": 2, "width": 16}],
    "head": {"first": 0, "layers": 1, "parameters": 10, "size_bytes": 100},
    "tail": {"first": 1, "layers": 3, "parameters": 30, "size_bytes": 300},
}


def manifest(**changed):
    return LanguageManifest.model_validate({**MANIFEST, **changed})


@pytest.fixture
def bundle(tmp_path):
    """Networks that do not run, in a bundle."""
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "head.onnx").write_bytes(b"head")
    files = {name: tmp_path / name for name in ("tokenizer.json", "head.onnx")}
    return write_language(tmp_path / "bundle.isthmus", manifest(), files)


def test_a_written_manifest_is_read_as_a_language_models(bundle):
    assert open_any(bundle.origin).manifest == bundle.manifest
    assert parse_manifest(bundle.manifest_bytes, Path("b")) == bundle.manifest


def test_it_is_not_opened_as_a_network_of_pictures(bundle):
    with pytest.raises(BundleError, match="is the bundle of a language model"):
        open_bundle(bundle.origin)


def test_a_network_of_pictures_is_not_opened_as_a_language_model(tiny_bundle):
    with pytest.raises(BundleError, match="is no language model"):
        open_language(tiny_bundle.folder)


def test_it_is_signed_like_any_bundle(bundle, make_key):
    key = make_key(1)
    sign_bundle(bundle.origin, key)
    assert open_language(bundle.origin, trusted=TrustedKeys({key.public.id: key.public})).signed_by == key.public.id


@pytest.mark.parametrize(
    "changed",
    [
        {"tail": {**MANIFEST["tail"], "first": 2}},
        {"tail": {**MANIFEST["tail"], "layers": 2}},
        {"key_values": [{"layers": 3, "heads": 2, "width": 16}]},
        {"layout": "sandwich"},
        {"last": {"first": 4, "layers": 1, "parameters": 1, "size_bytes": 1}},
        {"eos": [-1]},
        {"layers": 1},
        {"boundary": {}},
    ],
    ids=str,
)
def test_networks_that_are_not_the_model_are_refused(changed):
    with pytest.raises(ValidationError):
        manifest(**changed)


def test_a_wrong_field_is_one_line_that_names_it():
    with pytest.raises(BundleError, match=r"manifest\.json field 'width'"):
        parse_manifest(json.dumps({**MANIFEST, "schema_version": 1, "width": 0}).encode(), Path("b"))


@pytest.mark.parametrize("changed", [{"positions_max": 128}, {"vocabulary": 301}, {"architecture": "Qwen2ForCausalLM"}], ids=str)
def test_the_contract_covers_what_both_ends_need(changed):
    assert manifest(**changed).computed_digest() != manifest().computed_digest()


def test_the_contract_does_not_cover_what_is_only_said():
    said = {"licence": "mine", "generation": {"temperature": 0.5}, "source": "elsewhere"}
    assert manifest(**said).computed_digest() == manifest().computed_digest()


def test_the_tokenizer_is_part_of_the_contract(bundle, tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"other": 1}')
    files = {name: tmp_path / name for name in ("tokenizer.json", "head.onnx")}
    assert write_language(tmp_path / "other", manifest(), files).digest != bundle.digest
