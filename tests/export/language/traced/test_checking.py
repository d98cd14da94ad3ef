from itertools import pairwise

import numpy as np
import pytest
import torch

from isthmus.errors import ExportError
from isthmus.export.language.builder import Stretch
from isthmus.export.language.traced import checking, slices
from isthmus.export.language.traced import model as models
from isthmus.export.language.traced.slices import Slice


def check(folder, *cuts):
    model = models.load(folder)
    bounds = [0, *cuts, 4]
    parts = [Slice(model, Stretch(first=a, last=b, embeds=a == 0, predicts=b == 4)) for a, b in pairwise(bounds)]
    return checking.check(folder, model, models.outline(folder, model), parts, positions=256)


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
        ("gpt_neo", {"num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]], "window_size": 12}),
        ("gpt_neox", {}),
        ("opt", {"word_embed_proj_dim": 64, "ffn_dim": 96}),
        ("bloom", {}),
        ("falcon", {}),
        ("starcoder2", {"sliding_window": 12}),
        ("cohere2", {"sliding_window": 12}),
        ("olmo3", {"sliding_window": 12}),
        ("mixtral", {"num_local_experts": 4}),
        ("ctrl", {"n_embd": 64, "n_layer": 4, "n_head": 4, "dff": 64, "n_positions": 256}),
    ],
)
def test_slices_of_a_family_are_the_whole(make_folder, family, changed):
    gate = check(make_folder(family, **changed), 1, 3)
    assert gate.value < 1e-5
    assert gate.detail == f"{60 if 'sliding_window' in changed or 'window_size' in changed else 48} positions, two calls"


def test_a_whole_that_was_sliced_stays_as_it_was(make_folder):
    model, ids = models.load(make_folder("gpt2")), np.arange(20)
    before = models.logits(model, ids, keep=20)
    Slice(model, Stretch(first=1, last=3, embeds=False, predicts=False))
    np.testing.assert_array_equal(models.logits(model, ids, keep=20), before)


MEASURED = r"is not the model of transformers: logits differ by 0\.\d+ of the largest \(at most 0\.0001\)"


def test_layers_under_new_numbers_that_compute_with_them_are_refused_with_what_was_measured(make_folder, monkeypatch):
    shorten = slices._shorten

    def renumbered(model, stretch):
        left = shorten(model, stretch)
        for index, layer in enumerate(left):
            layer.attn.scaling *= (stretch.first + index + 1) / (index + 1)
        return left

    monkeypatch.setattr(slices, "_shorten", renumbered)
    with pytest.raises(ExportError, match=MEASURED):
        check(make_folder("gpt2", scale_attn_by_inverse_layer_idx=True), 2)


def test_positions_that_are_added_once_more_at_the_cut_are_refused(make_folder, monkeypatch):
    monkeypatch.setattr(torch, "zeros_like", lambda rows: rows)
    monkeypatch.setattr(slices.Slice, "_hook", hook_that_lets_the_forward_have_its_way)
    with pytest.raises(ExportError, match=MEASURED):
        check(make_folder("gpt2"), 2)


def hook_that_lets_the_forward_have_its_way(self, layers):
    layers[-1].register_forward_hook(lambda _module, _inputs, output: self._call.given.append(output))


GEMMA_3N = {
    "head_dim": 16,
    "intermediate_size": [96] * 4,
    "laurel_rank": 8,
    "activation_sparsity_pattern": [0.0] * 4,
    "altup_num_inputs": 2,
    "sliding_window": 12,
    "vocab_size_per_layer_input": 300,
    "hidden_size_per_layer_input": 16,
}


def test_a_family_whose_layers_see_what_others_keep_is_refused(make_folder):
    with pytest.raises(ExportError, match="Gemma3nForCausalLM does not keep keys and values of each of its 4 layers"):
        check(make_folder("gemma3n_text", num_kv_shared_layers=1, **GEMMA_3N), 2)


def test_a_family_whose_embedding_reaches_into_every_layer_is_refused(make_folder):
    with pytest.raises(ExportError, match="Gemma3nForCausalLM cannot be cut, its layers do not stand alone"):
        check(make_folder("gemma3n_text", num_kv_shared_layers=0, **GEMMA_3N), 2)
