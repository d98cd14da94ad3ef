"""What a model gives in transformers, with the weights of one layer in memory at a time.

The module is transformers' own and knows nothing of how we build graphs. It is made without weights; each layer gets its own
just before it computes, and loses them behind. The embedding and the language model's head, which may be larger than any layer,
are read row by row.
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
        model.model.embed_tokens = _Embedding(tensors, model.model.embed_tokens)
        model.lm_head = _Head(tensors, EMBEDDING if model.config.tie_word_embeddings else LOGITS_WEIGHT)
        for name in (*(f"model.layers.{index}" for index in range(len(model.model.layers))), "model.norm"):
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


class _Embedding(torch.nn.Module):
    """Rows of a matrix in the folder, for the ids that come.

    Args:
        tensors: of the folder.
        replaced: the model's own embedding, which in some families multiplies what it takes.
    """

    def __init__(self, tensors: FolderTensors, replaced: torch.nn.Module) -> None:
        super().__init__()
        self._tensors = tensors
        self._factor = float(getattr(replaced, "scalar_embed_scale", 1.0))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows."""
        known, places = torch.unique(ids, return_inverse=True)
        return torch.from_numpy(self._tensors.take(EMBEDDING, known.tolist()))[places] * self._factor


class _Head(torch.nn.Module):
    """Products with a matrix in the folder, some rows at a time."""

    def __init__(self, tensors: FolderTensors, matrix: str) -> None:
        super().__init__()
        self._tensors, self._matrix = tensors, matrix

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The products."""
        return torch.cat([hidden @ torch.from_numpy(rows).T for rows in self._tensors.rows(self._matrix)], dim=-1)


def _lend(model: Any, name: str, tensors: FolderTensors) -> None:  # noqa: ANN401
    """See that a module gets its weights before it computes and loses them afterwards."""

    def give(module: torch.nn.Module, _inputs: object) -> None:
        own = {key: torch.from_numpy(tensors.read(f"{name}.{key}")) for key, _ in module.named_parameters()}
        module.load_state_dict(own, assign=True)

    def take(module: torch.nn.Module, _inputs: object, _outputs: object) -> None:
        module.to("meta")
        tensors.forget()

    module = model.get_submodule(name)
    module.register_forward_pre_hook(give)
    module.register_forward_hook(take)
