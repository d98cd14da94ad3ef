"""Models of families that no builder knows, as transformers makes them, with random weights."""

import pytest
import torch
from tests.language_models import SIZES

from isthmus.export.doors.tracing import quiet

WITHOUT_MARKS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


@pytest.fixture
def make_folder(tmp_path):
    """A function that writes the folder of a family; arguments are entries of its configuration."""

    def make(family, **changed):
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.manual_seed(0)
        with quiet():
            config = AutoConfig.for_model(family, **SIZES | WITHOUT_MARKS | changed)
            model = AutoModelForCausalLM.from_config(config)
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    torch.nn.init.normal_(parameter, std=0.15)
            model.save_pretrained(tmp_path / family)
        return tmp_path / family

    return make
