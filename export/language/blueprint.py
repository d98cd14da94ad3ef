"""What the configuration of a language model says about its layers, for the families whose graph is built directly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isthmus.contract.language import KeyValues
from isthmus.errors import ExportError
from isthmus.export.doors import architectures, processor
from isthmus.export.doors.tracing import quiet
from isthmus.export.language import rotation
from isthmus.export.language.families import FAMILIES, Constants, Norms
from isthmus.export.language.outline import Outline
from isthmus.export.language.rotation import Rotation

HEAD_MULTIPLE = 16
Activation = Literal["silu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""What transformers calls those that are built."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blueprint(Outline):
    """Sizes and constants of the layers.

    Attributes:
        heads: of queries.
        key_value_heads: of keys and of values.
        head_width: of one head.
        epsilon: of the norms.
        norms: of a layer.
        constants: that are multiplied with.
        activation: of the gated network.
        rotations: per layer, None where positions turn nothing; layers of one kind share theirs.
        tied: whether the embedding is the language model's head too.
    """

    heads: int
    key_value_heads: int
    head_width: int
    epsilon: float
    norms: Norms
    constants: Constants
    activation: Activation
    rotations: tuple[Rotation | None, ...]
    tied: bool

    @property
    def network_head_width(self) -> int:
        """Of a head in the network, where onnxruntime takes multiples of 16; what is more than `head_width` is zero."""
        return _in_network(self.head_width)


def _in_network(head_width: int) -> int:
    return -(-head_width // HEAD_MULTIPLE) * HEAD_MULTIPLE


def is_built(folder: Path) -> bool:
    """Whether a folder's architecture is one whose graph is built directly."""
    return architectures.named(processor.read_json(folder / "config.json")) in FAMILIES


def read(folder: Path) -> Blueprint:
    """Read the `config.json` of a folder whose architecture `is_built`.

    Raises:
        ExportError: it is damaged, or has settings that its builder does not know.
    """
    name = architectures.named(processor.read_json(folder / "config.json"))
    config = configuration(folder)
    family = FAMILIES[name]
    activation = getattr(config, family.activation)
    if activation not in ACTIVATIONS:
        raise ExportError(f"{folder}: {name} with the activation {activation!r} is not known; {', '.join(ACTIVATIONS)} are")
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Blueprint(
        architecture=name,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        key_value_heads=config.num_key_value_heads,
        head_width=head_width,
        vocabulary=config.vocab_size,
        epsilon=config.rms_norm_eps,
        norms=family.norms,
        constants=family.constants(config, head_width),
        activation=ACTIVATIONS[activation],
        windows=windows(config),
        rotations=rotation.of_layers(folder, config, name, family, head_width),
        positions_max=rotation.positions_max(config),
        tied=config.tie_word_embeddings,
        cache="shared",
        key_values=(KeyValues(layers=config.num_hidden_layers, heads=config.num_key_value_heads, width=_in_network(head_width)),),
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


def windows(config: Any) -> tuple[int | None, ...]:  # noqa: ANN401
    """Where kinds of layers are named, those that slide have the window; else all have it, as Mistral's and Phi's do."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)
