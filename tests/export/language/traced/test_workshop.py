import numpy as np
import pytest
from tests.export.language.test_exporter import split_logits, torch_logits

from isthmus.devices.decoder import golden
from isthmus.errors import ExportError, UsageError
from isthmus.export.language import exporter
from isthmus.export.language.settings import LanguageSettings


def test_a_traced_model_is_cut_checked_and_written(traced_bundle):
    manifest = traced_bundle.manifest
    assert (manifest.architecture, manifest.cache, manifest.cut, manifest.positions_max) == ("GPT2LMHeadModel", "grown", 1, 256)
    assert [gate.name for gate in manifest.gates] == [
        "slices equal the whole in torch",
        "logits equal transformers",
        "greedy tokens equal transformers",
    ]
    assert 0 <= manifest.head.parameters - (300 * 64 + 256 * 64 + 12 * 64 * 64 + 13 * 64) < 100
    assert [gate.name for gate in golden.check(traced_bundle, golden.read(traced_bundle))] == ["head.onnx", "tail.onnx"]


def test_its_halves_give_what_the_unsplit_model_gives(traced_bundle, make_language_folder):
    ids = np.random.default_rng(0).integers(0, 300, 100)
    expected = torch_logits(make_language_folder("gpt2"), ids)
    np.testing.assert_allclose(split_logits(traced_bundle, ids), expected, atol=1e-4)


def test_a_sandwich_of_sliding_windows_gives_it_too(make_folder, tmp_path):
    folder = make_folder("starcoder2", sliding_window=24)
    bundle = exporter.export(folder, tmp_path / "bundle", LanguageSettings(cut="1+1", layout="sandwich"))
    ids = np.random.default_rng(0).integers(0, 300, 60)
    assert [part.layers for part in bundle.manifest.split] == [1, 2, 1]
    np.testing.assert_allclose(split_logits(bundle, ids), torch_logits(folder, ids), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"head_weights": "int8"}, "--head-weights int8"),
        ({"local": "int4"}, "--local int4"),
        ({"tail_weights": "int4"}, "--tail"),
    ],
)
def test_weights_that_shall_be_quantised_are_a_usage_error(make_language_folder, tmp_path, settings, option):
    with pytest.raises(UsageError, match=f"{option}.*GPT2LMHeadModel is traced"):
        exporter.export(make_language_folder("gpt2"), tmp_path / "bundle", LanguageSettings(**settings))


def test_what_torch_cannot_trace_is_one_line(make_folder, tmp_path):
    with pytest.raises(ExportError, match="MixtralForCausalLM cannot be traced: ") as caught:
        exporter.export(make_folder("mixtral", num_local_experts=4), tmp_path / "bundle", LanguageSettings())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()
