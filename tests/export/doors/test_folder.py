import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from isthmus.errors import ExportError, UsageError
from isthmus.export import preprocessing
from isthmus.export.doors import opening
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.graph.session import Session

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
PROCESSOR = {
    "do_resize": True,
    "size": {"shortest_edge": 40},
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(MEAN),
    "image_std": list(DEVIATION),
}


def resnet():
    names = {0: "boot", 1: "hat", 2: "shoe"}
    config = transformers.ResNetConfig(**STAGES, id2label=names, label2id={name: index for index, name in names.items()})
    return transformers.ResNetForImageClassification(config)


def yolos():
    config = transformers.YolosConfig(
        image_size=[32, 48], patch_size=16, num_detection_tokens=5, use_mid_position_embeddings=False, **SMALL
    )
    return transformers.YolosForObjectDetection(config)


def clip():
    vision = {"image_size": 32, "patch_size": 16, **SMALL}
    text = {"vocab_size": 50, "max_position_embeddings": 16, **SMALL}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))


def whisper():
    size = dict.fromkeys(("encoder_layers", "decoder_layers"), 1) | dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 16)
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    tokens = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)
    config = transformers.WhisperConfig(
        d_model=16, max_source_positions=20, vocab_size=60, num_mel_bins=8, **size, **heads, **tokens
    )
    return transformers.WhisperForConditionalGeneration(config)


def bert():
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=24, num_labels=3, **SMALL)
    return transformers.BertForSequenceClassification(config)


def segformer():
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16, image_size=64
    )
    return transformers.SegformerForSemanticSegmentation(config)


def vitpose():
    backbone = transformers.VitPoseBackboneConfig(
        hidden_size=16, num_attention_heads=2, num_hidden_layers=1, out_features=["stage1"], image_size=[64, 48]
    )
    return transformers.VitPoseForPoseEstimation(transformers.VitPoseConfig(backbone_config=backbone, num_labels=5))


def swin():
    config = transformers.SwinConfig(image_size=32, patch_size=2, embed_dim=8, depths=[2], num_heads=[2], window_size=4)
    return transformers.SwinForImageClassification(config)


def depth():
    config = transformers.DPTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    return transformers.DPTForDepthEstimation(config)


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50, n_positions=16))


def save(model, folder, **how):
    torch.manual_seed(0)
    model().save_pretrained(folder, **how)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A ResNet of three named classes with the settings of its image processor, in several weight files."""
    folder = save(resnet, tmp_path_factory.mktemp("hf") / "resnet", max_shard_size="10KB")
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


@pytest.fixture(scope="module")
def source(classifier):
    return opening.open_model(str(classifier))


@pytest.fixture
def copied(classifier, tmp_path):
    """A copy of the classifier that may be spoiled, with one weight file."""
    folder = tmp_path / "copy"
    folder.mkdir()
    weights = {}
    for file in classifier.glob("*.safetensors"):
        weights |= load_file(file)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text((classifier / "config.json").read_text())
    return folder


def change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_classifier_in_several_weight_files_comes_in(source, classifier):
    assert len(list(classifier.glob("*.safetensors"))) > 1
    assert (source.name, source.labels, source.dynamic_batch) == ("resnet", ("boot", "hat", "shoe"), True)
    assert [value.name for value in (*source.model.graph.inputs, *source.model.graph.outputs)] == ["pixel_values", "logits"]


def test_it_answers_as_transformers_does(source, classifier):
    x = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        model = transformers.ResNetForImageClassification.from_pretrained(classifier, local_files_only=True)
        want = model(torch.from_numpy(x)).logits.numpy()
    np.testing.assert_allclose(Session(source.model).run({"pixel_values": x})["logits"], want, rtol=1e-3, atol=1e-5)


def test_its_image_processor_becomes_the_preparation(source):
    chosen = preprocessing.choose(None, source.model, suggested=source.preparation)
    assert (chosen.width, chosen.height, chosen.fit, chosen.interpolation) == (32, 32, "crop", "bicubic")
    assert (chosen.mean, chosen.standard_deviation, chosen.scale) == (MEAN, DEVIATION, 1 / 255)


@pytest.mark.parametrize(
    ("model", "inputs", "outputs"),
    [
        (yolos, {"pixel_values": (3, 32, 48)}, {"logits": (5, 3), "pred_boxes": (5, 4)}),
        (clip, {"pixel_values": (3, 32, 32)}, {"image_embeds": (8,)}),
        (whisper, {"input_features": (8, 40)}, {"last_hidden_state": (20, 16)}),
        (bert, {"input_ids": (22,), "attention_mask": (22,)}, {"logits": (3,)}),
        pytest.param(segformer, {"pixel_values": (3, 64, 64)}, {"logits": (2, 16, 16)}, marks=pytest.mark.slow),
        pytest.param(vitpose, {"pixel_values": (3, 64, 48)}, {"heatmaps": (5, 16, 12)}, marks=pytest.mark.slow),
        pytest.param(swin, {"pixel_values": (3, 32, 32)}, {"logits": (2,)}, marks=pytest.mark.slow),
        pytest.param(depth, {"pixel_values": (3, 32, 32)}, {"predicted_depth": (64, 64)}, marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_model_comes_in_with_a_free_batch(tmp_path, model, inputs, outputs):
    source = opening.open_model(str(save(model, tmp_path / "model")))
    graph = source.model.graph
    assert source.dynamic_batch
    assert [(value.name, tuple(value.shape)[1:]) for value in graph.inputs] == list(inputs.items())
    answers = Session(source.model).run(dict(zip(inputs, source.example_inputs, strict=True)))
    assert {name: array.shape[1:] for name, array in answers.items()} == outputs


def test_opening_a_folder_says_nothing_and_needs_no_hub(classifier):
    program = (
        "import socket, sys; socket.socket.connect = lambda *_: sys.exit('network')\n"
        f"from isthmus.export.doors.opening import open_model; open_model({str(classifier)!r})"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def refused(folder, message, kind=ExportError):
    with pytest.raises(kind, match=message) as caught:
        opening.open_model(str(folder))
    assert "\n" not in str(caught.value)


def test_missing_weights_are_named_and_never_made_up(copied):
    weights = load_file(copied / "model.safetensors")
    gone = [name for name in weights if name.startswith("classifier")]
    save_file({n: w for n, w in weights.items() if n not in gone}, copied / "model.safetensors", metadata={"format": "pt"})
    refused(copied, r"has no weights for classifier\.1\.bias, classifier\.1\.weight;")


def test_weights_without_a_place_are_named(copied):
    weights = load_file(copied / "model.safetensors") | {"second_head.weight": torch.zeros(2)}
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    refused(copied, r"no place for: second_head\.weight;")


def test_weights_of_another_shape_are_named(copied):
    change(copied / "config.json", id2label={"0": "a"}, label2id={"a": 0})
    refused(copied, r"weights of another shape for classifier\.1\.bias, classifier\.1\.weight")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"architectures": []}, "names no architecture"),
        ({"architectures": ["ResNetForSomethingElse"]}, "ResNetForSomethingElse is none of what comes in"),
        ({"architectures": ["FutureForImageClassification"]}, "has no FutureForImageClassification; update it"),
        ({"auto_map": {"AutoModel": "modeling.Mine"}}, "needs code that comes with the model, which is not run"),
        ({"layer_type": "bogus"}, "cannot be loaded as ResNetForImageClassification: "),
    ],
)
def test_what_the_configuration_asks_for_is_refused_by_name(copied, entries, message):
    change(copied / "config.json", **entries)
    refused(copied, message)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"\xff" * 64])
def test_damaged_weights_are_refused(copied, content):
    (copied / "model.safetensors").write_bytes(content)
    refused(copied, "cannot be loaded as ResNetForImageClassification|has no weights for")


def test_a_damaged_configuration_is_refused(copied):
    (copied / "config.json").write_text("{")
    refused(copied, "cannot be read as JSON")


def test_pickled_weights_are_not_read(copied):
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    refused(copied, "pickled weights are not read")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    refused(tmp_path, "is no model folder: it has no config.json")


def test_a_language_model_is_refused(tmp_path):
    refused(save(gpt2, tmp_path / "gpt2"), "GPT2LMHeadModel is a language model, which `isthmus export", UsageError)


def test_names_of_classes_and_preparation_reach_the_bundle(classifier, tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (6, 40, 36, 3), np.uint8)
    np.savez(tmp_path / "some.npz", images=images, labels=np.arange(6) % 2, names=["shoe", "boot"])
    settings = ExportSettings(bottleneck="none", data=tmp_path / "some.npz")
    manifest = export(str(classifier), tmp_path / "bundle", settings).bundle.manifest
    assert manifest.task.labels == ("boot", "hat", "shoe")
    assert (manifest.preparation.mean, manifest.preparation.fit) == (MEAN, "crop")
    results = json.loads((tmp_path / "bundle" / "evaluation.json").read_text())
    assert results["meta"]["metric"] == "top-1 accuracy"
