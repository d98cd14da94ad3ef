"""What the configuration of a language model says about its layers, for the families whose graph is built directly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isthmus.errors import ExportError
from isthmus.export.doors import architectures, processor
from isthmus.export.doors.tracing import quiet
from isthmus.export.language import rotation
from isthmus.export.language.families import FAMILIES, Constants, Norms
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
        norms: of a layer.
        constants: that are multiplied with.
        activation: of the gated network.
        windows: per layer the number of latest positions that it sees; None: all.
        rotations: per layer, None where positions turn nothing; layers of one kind share theirs.
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
    norms: Norms
    constants: Constants
    activation: Activation
    windows: tuple[int | None, ...]
    rotations: tuple[Rotation | None, ...]
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
        windows=_windows(config),
        rotations=rotation.of_layers(folder, config, name, family, head_width),
        positions_max=rotation.positions_max(config),
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


def _windows(config: Any) -> tuple[int | None, ...]:  # noqa: ANN401
    """Where kinds of layers are named, those that slide have the window; else all have it, as Mistral's and Phi's do."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)
