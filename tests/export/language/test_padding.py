import numpy as np
import pytest

from isthmus.errors import ExportError
from isthmus.export.language import blueprint, exporter
from isthmus.export.language.padding import open_tensors
from isthmus.export.language.settings import LanguageSettings


def test_heads_are_widened_in_both_halves(make_language_folder):
    folder = make_language_folder(head_dim=8)
    with open_tensors(folder, blueprint.read(folder)) as tensors:
        keys = tensors.read("model.layers.0.self_attn.k_proj.weight").reshape(2, 2, 8, 64)
        assert keys[:, :, :4].all()
        assert not keys[:, :, 4:].any()
        assert tensors.shape("model.layers.0.self_attn.o_proj.weight") == (64, 4 * 16)
        assert tensors.size("model.layers.0.self_attn.o_proj.weight") == 64 * 4 * 8


@pytest.mark.parametrize(("family", "width"), [("llama", 8), ("qwen2", 20), ("phi3", 8), ("smollm3", 8)])
def test_a_model_of_narrow_heads_passes_the_gates(make_language_bundle, family, width):
    manifest = make_language_bundle(family, head_dim=width).manifest
    assert manifest.key_values[0].width == -(-width // 16) * 16
    embedding = 2 if family == "llama" else 1
    assert sum(part.parameters for part in manifest.split) > embedding * 300 * 64


@pytest.mark.parametrize("family", ["qwen3", "olmo2"])
def test_narrow_heads_that_are_normed_are_refused(make_language_folder, tmp_path, family):
    with pytest.raises(ExportError, match="heads of 8 values that are normed"):
        exporter.export(make_language_folder(family, head_dim=8), tmp_path / "bundle", LanguageSettings())


def test_narrow_heads_are_quantised_as_wide_ones_are(make_language_bundle):
    bundle = make_language_bundle(head_dim=8, settings={"tail_weights": "int8"})
    assert bundle.manifest.tail.weights == "int8"
    assert np.isfinite(bundle.manifest.gates[0].value)
