from dataclasses import replace

import numpy as np
import pytest

from isthmus.errors import ExportError
from isthmus.export.language import blueprint, exporter
from isthmus.export.language.builder import Builder
from isthmus.export.language.gates import compare
from isthmus.export.language.settings import LanguageSettings

MEASURED = r"is not the model of transformers: logits differ by [\d.e-]+ of the largest \(at most 0\.0001\), \d+ of 64"


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


def with_plan(monkeypatch, change):
    """See that blueprints are read as `change` makes them."""
    read = blueprint.read
    monkeypatch.setattr(blueprint, "read", lambda folder: change(read(folder)))


def turned_by(plan, rotation):
    """A plan whose layers, as far as they turn anything, all do so alike."""
    return replace(plan, rotations=tuple(one and rotation for one in plan.rotations))


def test_other_angles_are_refused_with_what_was_measured(make_language_folder, tmp_path, monkeypatch):
    first = blueprint.read(make_language_folder()).rotations[0]
    with_plan(monkeypatch, lambda plan: turned_by(plan, replace(first, frequencies=first.frequencies * 0.98)))
    refused(make_language_folder(), tmp_path)


def test_rotary_scaling_that_is_passed_over_is_refused(make_language_folder, tmp_path, monkeypatch):
    plain = blueprint.read(make_language_folder(rope_theta=500000.0)).rotations[0]
    with_plan(monkeypatch, lambda plan: turned_by(plan, plain))
    refused(make_language_folder("llama3"), tmp_path)


def test_one_kind_of_angles_for_layers_of_two_kinds_is_refused(make_language_folder, tmp_path, monkeypatch):
    with_plan(monkeypatch, lambda plan: turned_by(plan, plan.rotations[0]))
    refused(make_language_folder("gemma3"), tmp_path)


def test_layers_without_positions_that_get_some_are_refused(make_language_folder, tmp_path, monkeypatch):
    with_plan(monkeypatch, lambda plan: replace(plan, rotations=(plan.rotations[0],) * 4))
    refused(make_language_folder("smollm3"), tmp_path)


@pytest.mark.parametrize(
    ("family", "constant", "value"),
    [
        ("granite", "attention_scale", 0.25),
        ("granite", "embedding", 1.0),
        ("granite", "residual", 1.0),
        ("granite", "logits", 1.0),
        ("gemma", "norm_offset", 0.0),
        ("gemma2", "attention_cap", None),
        ("gemma2", "logits_cap", None),
    ],
)
def test_a_constant_that_is_passed_over_is_refused(make_language_folder, tmp_path, monkeypatch, family, constant, value):
    with_plan(monkeypatch, lambda plan: replace(plan, constants=replace(plan.constants, **{constant: value})))
    refused(make_language_folder(family), tmp_path)


@pytest.mark.parametrize("family", ["olmo2", "gemma3"])
def test_norms_elsewhere_are_refused(make_language_folder, tmp_path, monkeypatch, family):
    folder = make_language_folder(family)
    without = replace(blueprint.read(folder).norms, after_network=None)
    with_plan(monkeypatch, lambda plan: replace(plan, norms=without))
    with pytest.raises(ExportError, match=r"its builder does not know: model\.layers\.0\.post_feedforward_layernorm"):
        exporter.export(folder, tmp_path / "bundle", LanguageSettings())


def test_attention_that_sees_what_comes_behind_is_refused(make_language_folder, tmp_path):
    refused(make_language_folder("gemma3", use_bidirectional_attention=True), tmp_path)


def test_a_norm_that_is_passed_over_is_refused(make_language_folder, tmp_path, monkeypatch):
    def heads(self, network, x, norm, heads):
        self._tensors.read(norm)
        return x

    monkeypatch.setattr(Builder, "_heads", heads)
    refused(make_language_folder("qwen3"), tmp_path)


@pytest.mark.parametrize("family", ["mistral", "gemma2"])
def test_a_window_that_is_passed_over_is_refused(make_language_folder, tmp_path, monkeypatch, family):
    with_plan(monkeypatch, lambda plan: replace(plan, windows=(None,) * 4))
    refused(make_language_folder(family, sliding_window=12), tmp_path)


def test_another_token_is_wrong_unless_the_two_best_are_nearly_one():
    expected = np.array([[0.0, 1.0, 0.5], [0.0, 1.0, 1.0 - 5e-5]], np.float32)
    found = compare(expected, expected, np.array([2, 2]))
    assert (found.wrong, found.near_ties, found.error) == (1, 1, 0.0)


def test_logits_that_are_no_numbers_pass_no_gate():
    expected = np.array([[0.0, 1.0]], np.float32)
    assert compare(expected, expected, np.array([1])).passes
    assert not compare(expected * np.float32("nan"), expected, np.array([1])).passes
