from dataclasses import replace

import numpy as np
import pytest

from isthmus.errors import ExportError
from isthmus.export.language import blueprint, exporter
from isthmus.export.language.builder import Builder
from isthmus.export.language.gates import compare
from isthmus.export.language.settings import LanguageSettings

MEASURED = r"is not the model of transformers: logits differ by [\d.]+ of the largest \(at most 0\.0001\), \d+ of 64"


def test_what_was_checked_is_in_the_manifest(language_bundle):
    gates = {gate.name: gate for gate in language_bundle.manifest.gates}
    assert gates["logits equal transformers"].detail == "79 of 79 positions"
    assert 0 < gates["logits equal transformers"].value < 1e-5
    assert gates["greedy tokens equal transformers"].detail.startswith("64 steps")


@pytest.mark.parametrize("family", ["llama3", "mistral", "qwen2", "qwen3"])
def test_a_family_that_is_known_passes(make_language_bundle, family):
    assert all(gate.value <= gate.limit for gate in make_language_bundle(family).manifest.gates)


def test_a_sliding_window_is_filled_and_left_behind(make_language_bundle):
    assert "80 of 103 positions" in [gate.detail for gate in make_language_bundle("mistral").manifest.gates]


def refused(folder, tmp_path):
    with pytest.raises(ExportError, match=MEASURED):
        exporter.export(folder, tmp_path / "bundle", LanguageSettings())
    assert not (tmp_path / "bundle").exists()


def test_other_angles_are_refused_with_what_was_measured(make_language_folder, tmp_path, monkeypatch):
    read = blueprint.read
    monkeypatch.setattr(blueprint, "read", lambda folder: replace(read(folder), frequencies=read(folder).frequencies * 0.98))
    refused(make_language_folder(), tmp_path)


def test_rotary_scaling_that_is_passed_over_is_refused(make_language_folder, tmp_path, monkeypatch):
    plain = blueprint.read(make_language_folder(rope_theta=500000.0)).frequencies
    read = blueprint.read
    monkeypatch.setattr(blueprint, "read", lambda folder: replace(read(folder), frequencies=plain))
    refused(make_language_folder("llama3"), tmp_path)


def test_a_norm_that_is_passed_over_is_refused(make_language_folder, tmp_path, monkeypatch):
    def heads(self, network, x, norm, heads):
        self._tensors.read(norm)
        return x

    monkeypatch.setattr(Builder, "_heads", heads)
    refused(make_language_folder("qwen3"), tmp_path)


def test_a_window_that_is_passed_over_is_refused(make_language_folder, tmp_path, monkeypatch):
    read = blueprint.read
    monkeypatch.setattr(blueprint, "read", lambda folder: replace(read(folder), windows=(None,) * 4))
    folder = make_language_folder("mistral", sliding_window=12)
    refused(folder, tmp_path)


def test_another_token_is_wrong_unless_the_two_best_are_nearly_one():
    expected = np.array([[0.0, 1.0, 0.5], [0.0, 1.0, 1.0 - 5e-5]], np.float32)
    found = compare(expected, expected, np.array([2, 2]))
    assert (found.wrong, found.near_ties, found.error) == (1, 1, 0.0)


def test_logits_that_are_no_numbers_pass_no_gate():
    expected = np.array([[0.0, 1.0]], np.float32)
    assert compare(expected, expected, np.array([1])).passes
    assert not compare(expected * np.float32("nan"), expected, np.array([1])).passes
