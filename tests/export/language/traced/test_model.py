import json

import pytest

from isthmus.contract.language import KeyValues
from isthmus.errors import ExportError
from isthmus.export.language.traced import model as models


def change_config(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    return folder


def test_caches_are_those_that_the_model_keeps_and_not_those_of_its_configuration(make_folder):
    folder = make_folder("falcon")
    outline = models.outline(folder, models.load(folder))
    assert json.loads((folder / "config.json").read_text())["num_attention_heads"] == 4
    assert (outline.cache, outline.key_values) == ("grown", (KeyValues(layers=4, heads=1, width=16),))


@pytest.mark.parametrize(
    ("family", "changed", "held"),
    [
        ("mamba", {"state_size": 4}, "LinearAttentionLayer"),
        ("lfm2", {"layer_types": ["conv", "full_attention"] * 2}, "LinearAttentionLayer, DynamicLayer"),
        ("recurrent_gemma", {"head_dim": 16}, "nothing"),
    ],
)
def test_a_model_that_keeps_something_else_is_refused(make_folder, family, changed, held):
    folder = make_folder(family, **changed)
    with pytest.raises(ExportError, match=rf"does not keep keys and values of each of its 4 layers \(its cache holds {held}\)"):
        models.outline(folder, models.load(folder))


def test_keys_and_values_of_two_widths_are_refused(make_folder):
    ranks = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    folder = make_folder("minicpm3", num_key_value_heads=4, **ranks)
    with pytest.raises(ExportError, match="keys of MiniCPM3ForCausalLM are 16 wide and its values 8"):
        models.outline(folder, models.load(folder))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"auto_map": {"AutoModelForCausalLM": "code.Model"}}, "needs code that comes with the model"),
        ({"architectures": ["BloomForCausalLM"]}, "names BloomForCausalLM, but transformers makes a GPT2LMHeadModel"),
        ({"model_type": "nothing"}, "transformers does not make GPT2LMHeadModel of it"),
        ({"n_layer": 5, "num_hidden_layers": 5}, r"has no weights transformer\.h\.4\..* and more"),
        ({"n_layer": 3, "num_hidden_layers": 3}, "has weights that it does not know"),
    ],
)
def test_a_configuration_that_does_not_fit_is_one_line(make_language_folder, entries, message):
    with pytest.raises(ExportError, match=message) as caught:
        models.load(change_config(make_language_folder("gpt2"), **entries))
    assert "\n" not in str(caught.value)
