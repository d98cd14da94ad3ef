"""What a model gives in transformers, with the weights of one layer in memory at a time.

The module is transformers' own and knows nothing of how we build graphs. It is made without weights; each layer gets its own
just before it computes, and loses them behind.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus.errors import ExportError
from isthmus.export.doors.tracing import quiet
from isthmus.export.language import blueprint
from isthmus.export.language.builder import EMBEDDING, LOGITS_WEIGHT
from isthmus.export.language.tensors import FolderTensors


def logits(folder: Path, ids: np.ndarray, *, keep: int) -> np.ndarray:
    """Logits of the unsplit model, of one sequence in one call without a cache.

    Args:
        folder: of the model.
        ids: int64[row].
        keep: how many of the last rows get logits.

    Returns:
        float32[keep, vocabulary].

    Raises:
        ExportError: transformers cannot make the model, or weights are missing.
    """
    model = _without_weights(folder)
    with FolderTensors(folder) as tensors, torch.inference_mode():
        for name in _units(model):
            _lend(model, name, tensors)
        with quiet():
            answer = model(input_ids=torch.from_numpy(ids)[None], use_cache=False, logits_to_keep=keep).logits
        return np.asarray(answer[0].numpy())


def _without_weights(folder: Path) -> Any:  # noqa: ANN401 - a class of transformers, by the folder
    config = blueprint.configuration(folder)
    with quiet():
        from transformers import AutoModelForCausalLM

        makes: Any = AutoModelForCausalLM.from_config  # which has no types
        try:
            with torch.device("meta"):
                model = makes(config, attn_implementation="eager", dtype=torch.float32)
        except Exception as reason:  # transformers raises kinds of its own
            lines = str(reason).strip().splitlines() or [type(reason).__name__]
            raise ExportError(f"{folder} cannot be made by transformers: {lines[0]}") from reason
    # Its angles are computed, not loaded.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model.eval()


def _units(model: Any) -> list[str]:  # noqa: ANN401
    """Modules that get their weights together."""
    return ["model.embed_tokens", *(f"model.layers.{index}" for index in range(len(model.model.layers))), "model.norm", "lm_head"]


def _lend(model: Any, name: str, tensors: FolderTensors) -> None:  # noqa: ANN401
    """See that a module gets its weights before it computes and loses them afterwards."""
    tied = bool(model.config.tie_word_embeddings)

    def give(module: torch.nn.Module, _inputs: object) -> None:
        own = {key: _stored(f"{name}.{key}", tied=tied) for key, _ in module.named_parameters()}
        module.load_state_dict({key: torch.from_numpy(tensors.read(stored)) for key, stored in own.items()}, assign=True)

    def take(module: torch.nn.Module, _inputs: object, _outputs: object) -> None:
        module.to("meta")
        tensors.forget()

    module = model.get_submodule(name)
    module.register_forward_pre_hook(give)
    module.register_forward_hook(take)


def _stored(name: str, *, tied: bool) -> str:
    return EMBEDDING if tied and name == LOGITS_WEIGHT else name
