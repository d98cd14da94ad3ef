"""Models of families that no builder knows, as transformers makes them, with random weights."""

import pytest
import torch

from isthmus.export.doors.tracing import quiet

SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


@pytest.fixture
def make_folder(tmp_path):
    """A function that writes the folder of a family; arguments are entries of its configuration."""

    def make(family, **changed):
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.manual_seed(0)
        with quiet():
            config = AutoConfig.for_model(family, **SIZES | changed)
            model = AutoModelForCausalLM.from_config(config)
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    torch.nn.init.normal_(parameter, std=0.15)
            model.save_pretrained(tmp_path / family)
        return tmp_path / family

    return make
