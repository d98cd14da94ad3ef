import numpy as np
import pytest
from tests.language_models import FAMILIES

from isthmus.codec.hidden import calibration
from isthmus.devices.decoder import golden
from isthmus.devices.decoder.decoder import Decoder
from isthmus.errors import ExportError, UsageError
from isthmus.export.language import exporter
from isthmus.export.language.settings import LanguageSettings


def split_logits(bundle, ids):
    """What the networks of a bundle give, one behind the other."""
    rows = ids
    for name in [name for name in ("head.onnx", "tail.onnx", "last.onnx") if bundle.has(name)]:
        decoder = Decoder.of_bundle(bundle, name)
        rows = decoder.run(rows, decoder.new_cache(len(ids)), 0)
    return rows


def torch_logits(folder, ids):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor(ids)[None]).logits[0].numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_halves_give_what_the_unsplit_model_gives(make_language_folder, tmp_path, family):
    folder = make_language_folder(family)
    bundle = exporter.export(folder, tmp_path / "bundle", LanguageSettings(cut="2"))
    ids = np.random.default_rng(0).integers(0, 300, 100)
    np.testing.assert_allclose(split_logits(bundle, ids), torch_logits(folder, ids), atol=1e-4)


@pytest.mark.parametrize(("cut", "parts"), [("1", (1, 2, 1)), ("1+2", (1, 1, 2))])
def test_a_sandwich_gives_it_too(make_language_folder, tmp_path, cut, parts):
    folder = make_language_folder("qwen3")
    bundle = exporter.export(folder, tmp_path / "bundle", LanguageSettings(cut=cut, layout="sandwich"))
    ids = np.random.default_rng(0).integers(0, 300, 100)
    assert tuple(part.layers for part in bundle.manifest.split) == parts
    np.testing.assert_allclose(split_logits(bundle, ids), torch_logits(folder, ids), atol=1e-4)


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        ("phi3", {"head_dim": 64, "partial_rotary_factor": 0.75}),
        ("gemma3", {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
        ("smollm3", {"use_sliding_window": True, "sliding_window": 24}),
        ("llama", {"hidden_act": "gelu"}),
    ],
)
def test_settings_of_a_family_are_heeded(make_language_bundle, family, changed):
    assert all(gate.value <= gate.limit for gate in make_language_bundle(family, **changed).manifest.gates)


SHORT_AND_LONG = {
    "rope_scaling": {"type": "longrope", "short_factor": [1 + pair / 10 for pair in range(8)], "long_factor": [4.0] * 8},
    "original_max_position_embeddings": 128,
}


def test_angles_that_change_with_a_texts_length_are_those_of_short_ones(make_language_bundle):
    assert make_language_bundle("phi3", **SHORT_AND_LONG).manifest.positions_max == 128


def test_texts_that_would_have_other_angles_are_a_usage_error(make_language_folder, tmp_path):
    folder = make_language_folder("phi3", **SHORT_AND_LONG)
    with pytest.raises(UsageError, match="--positions 200 is more than the 128"):
        exporter.export(folder, tmp_path / "bundle", LanguageSettings(positions=200))


def test_a_part_of_a_head_that_the_kernel_cannot_turn_is_refused(make_language_folder, tmp_path):
    folder = make_language_folder("phi3", head_dim=32, partial_rotary_factor=0.25)
    with pytest.raises(ExportError, match="rotary positions over 8 of 32 values"):
        exporter.export(folder, tmp_path / "bundle", LanguageSettings())


def test_weights_in_shards_are_the_same_weights(make_language_bundle):
    one, several = (make_language_bundle(shards=shards) for shards in (1, 3))
    assert one.manifest.files["tail.onnx.data"] == several.manifest.files["tail.onnx.data"]


def test_the_manifest_says_what_is_where(language_bundle):
    manifest = language_bundle.manifest
    assert (manifest.architecture, manifest.cut, manifest.layers, manifest.width) == ("LlamaForCausalLM", 1, 4, 64)
    assert (manifest.vocabulary, manifest.positions_max, manifest.eos) == (300, 256, (0, 1))
    assert (manifest.generation.samples, manifest.generation.temperature) == (True, 0.7)
    assert manifest.head.parameters + manifest.tail.parameters == 2 * 300 * 64 + 64 + 4 * (64 * (64 + 2 * 32 + 64 + 3 * 96) + 128)
    assert {"head.onnx", "tail.onnx", "tokenizer.json", "generation_config.json"} < set(manifest.files)


def test_weights_that_no_layer_takes_are_refused(make_language_folder, tmp_path):
    folder = make_language_folder(extra=("model.layers.0.self_attn.sinks",))
    with pytest.raises(ExportError, match=r"weights that its builder does not know: model\.layers\.0\.self_attn\.sinks"):
        exporter.export(folder, tmp_path / "bundle", LanguageSettings())


def test_a_layer_without_weights_is_refused(make_language_folder, tmp_path):
    folder = make_language_folder(without=("model.layers.3.mlp.up_proj.weight",))
    with pytest.raises(ExportError, match=r"has no weights model\.layers\.3\.mlp\.up_proj\.weight"):
        exporter.export(folder, tmp_path / "bundle", LanguageSettings())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architectures": ["MambaForCausalLM"]}, "names MambaForCausalLM, but transformers makes a LlamaForCausalLM"),
        ({"hidden_act": "relu"}, "activation 'relu'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "depends on the length"),
    ],
)
def test_what_the_builder_does_not_know_is_refused(make_language_folder, tmp_path, changed, message):
    with pytest.raises(ExportError, match=message):
        exporter.export(make_language_folder(**changed), tmp_path / "bundle", LanguageSettings())


@pytest.mark.parametrize("cut", ["0", "4", "two", "1+1", "-1"])
def test_a_cut_that_leaves_nothing_is_a_usage_error(make_language_folder, tmp_path, cut):
    with pytest.raises(UsageError, match=f"--cut {cut}".replace("+", r"\+")):
        exporter.export(make_language_folder(), tmp_path / "bundle", LanguageSettings(cut=cut))


def test_more_positions_than_the_model_has_are_a_usage_error(make_language_folder, tmp_path):
    with pytest.raises(UsageError, match="--positions 257"):
        exporter.export(make_language_folder(), tmp_path / "bundle", LanguageSettings(positions=257))


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text("the head is on the device and the tail is on the server. " * 100)
    return path


def test_halves_are_quantised_apart_and_measured(make_language_bundle, story):
    settings = {"head_weights": "int8", "tail_weights": "int4", "local": "int4", "data": story}
    bundle = make_language_bundle(settings=settings)
    manifest = bundle.manifest
    assert [part.weights for part in (manifest.head, manifest.tail, manifest.local)] == ["int8", "int4", "int4"]
    split, local = manifest.fidelity
    assert (split.network, local.network, split.text) == ("split", "local", "story.txt")
    assert 0.5 < split.agreement < 1
    assert split.perplexity != split.perplexity_float32
    assert [gate.name for gate in golden.check(bundle, golden.read(bundle))] == ["head.onnx", "tail.onnx", "local.onnx"]


def test_quantised_networks_come_near_the_model(make_language_bundle):
    settings = {"head_weights": "int8", "tail_weights": "int8"}
    plain, bundle = make_language_bundle(), make_language_bundle(settings=settings)
    ids = np.random.default_rng(0).integers(0, 300, 100)
    expected, found = split_logits(plain, ids), split_logits(bundle, ids)
    assert 1e-4 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.1
    assert bundle.manifest.tail.size_bytes < 0.5 * plain.manifest.tail.size_bytes


def test_hidden_states_are_calibrated_by_what_the_head_gives(make_language_bundle, story):
    bundle = make_language_bundle(settings={"data": story})
    found = calibration.of_bundle(bundle, 64)
    assert np.abs(found.mean).max() > 0.01
    assert bundle.manifest.fidelity[0].agreement == 1.0


def test_without_a_text_nothing_is_calibrated_and_nothing_measured(language_bundle):
    assert not language_bundle.has("hidden.npz")
    assert language_bundle.manifest.fidelity == ()


def test_the_network_alone_gives_what_the_halves_give(make_language_bundle):
    bundle = make_language_bundle(settings={"local": "float32"})
    ids = np.random.default_rng(0).integers(0, 300, 50)
    alone = Decoder.of_bundle(bundle, "local.onnx")
    np.testing.assert_allclose(alone.run(ids, alone.new_cache(50), 0), split_logits(bundle, ids), atol=1e-4)
