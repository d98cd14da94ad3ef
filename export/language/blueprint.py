"""What the configuration of a language model says about its layers, for the families whose graph is built directly.

The families are Llama's: RMS norms before attention and before a gated SiLU network, rotary positions over half-rotated heads,
key-value heads shared by groups of query heads. Biases and norms of queries and keys are known by their weights, not by the
family's name.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.errors import ExportError
from isthmus.export.doors import architectures, processor
from isthmus.export.doors.tracing import quiet

FAMILIES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
"""Architecture -> module of transformers that defines it."""
HEAD_MULTIPLE = 16
STATIC_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary scaling whose angles do not depend on the length of the sequence."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blueprint:
    """Sizes and constants of the layers.

    Attributes:
        architecture: name of the class in transformers.
        layers: how many.
        width: of a hidden state.
        heads: of queries.
        key_value_heads: of keys and of values.
        head_width: of one head.
        vocabulary: number of logits.
        epsilon: of the norms.
        windows: per layer the number of latest positions that it sees; None: all.
        frequencies: float32[head_width / 2], angle per position of each pair.
        magnification: factor on sine and cosine.
        positions_max: longest sequence that the model is made for.
        tied: whether the embedding is the language model's head too.
    """

    architecture: str
    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    vocabulary: int
    epsilon: float
    windows: tuple[int | None, ...]
    frequencies: np.ndarray
    magnification: float
    positions_max: int
    tied: bool

    @property
    def network_head_width(self) -> int:
        """Of a head in the network, where onnxruntime takes multiples of 16; what is more than `head_width` is zero."""
        return -(-self.head_width // HEAD_MULTIPLE) * HEAD_MULTIPLE


def read(folder: Path) -> Blueprint:
    """Read a folder's `config.json`.

    Raises:
        ExportError: the architecture is not one of `FAMILIES`, or has settings that its builder does not know.
    """
    name = architectures.named(processor.read_json(folder / "config.json"))
    if name not in FAMILIES:
        raise ExportError(
            f"{folder}: {name or 'its architecture'} is not known; language models come in as {', '.join(FAMILIES)}"
        )
    config = configuration(folder)
    if config.hidden_act != "silu":
        raise ExportError(f"{folder}: {name} with the activation {config.hidden_act!r} is not known; silu is")
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    frequencies, magnification = _rotation(folder, config, name)
    if len(frequencies) * 2 != head_width:
        raise ExportError(
            f"{folder}: rotary positions over {2 * len(frequencies)} of {head_width} values of a head are not known"
        )
    return Blueprint(
        architecture=name,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        key_value_heads=config.num_key_value_heads,
        head_width=head_width,
        vocabulary=config.vocab_size,
        epsilon=config.rms_norm_eps,
        windows=_windows(config),
        frequencies=frequencies,
        magnification=magnification,
        positions_max=config.max_position_embeddings,
        tied=config.tie_word_embeddings,
    )


def configuration(folder: Path) -> Any:  # noqa: ANN401 - a class of transformers, by the folder
    """The folder's configuration as transformers reads it.

    Raises:
        ExportError: it is damaged.
    """
    with quiet():
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(str(folder), local_files_only=True)
        except Exception as reason:  # transformers and huggingface_hub raise kinds of their own
            lines = str(reason).strip().splitlines() or [type(reason).__name__]
            raise ExportError(f"{folder}/config.json cannot be read: {lines[0]}") from reason


def _rotation(folder: Path, config: Any, name: str) -> tuple[np.ndarray, float]:  # noqa: ANN401
    """Angles per position and the factor on sine and cosine, as the family itself computes them."""
    kind = config.rope_parameters.get("rope_type", "default")
    if kind not in STATIC_ROTATIONS:
        known = ", ".join(STATIC_ROTATIONS)
        raise ExportError(f"{folder}: rotary scaling {kind!r} depends on the length of the text, which is not built; {known} are")
    family = FAMILIES[name]
    modeling = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    rotary = getattr(modeling, f"{name.removesuffix('ForCausalLM')}RotaryEmbedding")(config)
    return rotary.inv_freq.float().numpy(), float(rotary.attention_scaling)


def _windows(config: Any) -> tuple[int | None, ...]:  # noqa: ANN401
    """Of Mistral every layer has the one window, of Qwen those that are named so."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)
