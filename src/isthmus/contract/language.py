"""What the `manifest.json` of a split language model says.

Its networks and their tensors:

    head.onnx    embedding and the first `head.layers` layers      input_ids int64[batch, rows]       -> hidden_out
    tail.onnx    the layers behind them, and in `head-tail` the     hidden float32[batch, rows, width] -> logits, or hidden_out
                 final norm and the language model's head
    last.onnx    in `sandwich` alone: the last layers, norm, head   hidden                             -> logits
    local.onnx   optional: the whole model, weights quantised       input_ids                          -> logits

`hidden_out` is float32[batch, rows, width], `logits` float32[batch, rows, vocabulary]. A network that gives logits also takes
`logits_to_keep` int64[], how many of the last rows get any.

Every file takes `past_key_values.{i}.key|value` float32[batch, heads, positions, width of a head] and gives
`present.{i}.key|value`, `i` counted from 0 within the file. With the cache `shared` (GroupQueryAttention) both are one buffer,
and the file further takes `seqlens_k` int32[batch], the positions held after this call less one, and `total_sequence_length`
int32[], the largest number of positions held. With the cache `grown` the network gives new arrays, of what it was given and
behind it what this call adds; its batch is 1.
"""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from isthmus.contract.manifest import AnyManifest, Part

HEAD, TAIL, LAST, LOCAL = "head.onnx", "tail.onnx", "last.onnx", "local.onnx"
TOKENIZER = "tokenizer.json"
TEXT_FILES = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json")
"""What goes along with the networks, where the model's folder has it."""
CALIBRATION = "hidden.npz"
"""`mean` float32[width] of the hidden states at the cut, `signs` int8[width] of the rotation, or learned directions with their
bits; see `codec.hidden`."""

Weights = Literal["float32", "int8", "int4"]
Layout = Literal["head-tail", "sandwich"]
CacheKind = Literal["shared", "grown"]


class Layers(Part):
    """One network: a stretch of the model's layers."""

    first: int = Field(ge=0)
    """Of its layers, counted from 0 in the whole model."""
    layers: int = Field(ge=1)
    weights: Weights = "float32"
    parameters: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    """Of its file and of the weights beside it."""


class KeyValues(Part):
    """The cache of a run of equal layers."""

    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    width: int = Field(ge=1)
    """Of one head, of keys and of values."""


class Generation(Part):
    """How the model's authors want it sampled; what they do not say is None."""

    temperature: float | None = Field(default=None, ge=0)
    top_k: int | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    samples: bool = False
    """False: greedy."""


class Fidelity(Part):
    """How near the networks as they are shipped come to the model in float32, on a text."""

    network: Literal["split", "local"]
    text: str
    tokens: int = Field(ge=1)
    agreement: float = Field(ge=0, le=1)
    """Share of positions at which both find the same token likeliest."""
    perplexity: float = Field(gt=0)
    perplexity_float32: float = Field(gt=0)


class LanguageManifest(AnyManifest):
    """The whole of `manifest.json`, of a language model."""

    kind: Literal["lm"] = "lm"
    architecture: str = Field(min_length=1, max_length=128)
    """As transformers calls it."""
    layout: Layout
    layers: int = Field(ge=2)
    width: int = Field(ge=1)
    """Of a hidden state."""
    vocabulary: int = Field(ge=1)
    """Number of logits; ids are below it."""
    positions_max: int = Field(ge=1)
    """Longest sequence that the networks take."""
    cache: CacheKind
    key_values: tuple[KeyValues, ...] = Field(min_length=1)
    """Of all layers in order, equal neighbours in one."""
    head: Layers
    tail: Layers
    last: Layers | None = None
    """Of the sandwich."""
    local: Layers | None = None
    """None where the bundle has no `local.onnx`."""
    eos: tuple[int, ...] = ()
    """Tokens that end an answer."""
    generation: Generation = Generation()
    fidelity: tuple[Fidelity, ...] = ()
    """Empty where no text was given and where nothing is quantised."""

    @field_validator("eos")
    @classmethod
    def _ids_are_not_negative(cls, ids: tuple[int, ...]) -> tuple[int, ...]:
        if any(one < 0 for one in ids):
            raise ValueError(f"a token is never negative: {ids}")
        return ids

    @model_validator(mode="after")
    def _networks_are_the_model(self) -> "LanguageManifest":
        if (self.layout == "sandwich") != (self.last is not None):
            raise ValueError(f"the layout {self.layout} {'lacks' if self.last is None else 'has'} `last`")
        place = 0
        for part in self.split:
            if part.first != place:
                raise ValueError(f"a network begins at layer {part.first}, the one before it ends at {place}")
            place += part.layers
        counted = sum(group.layers for group in self.key_values)
        if not place == counted == self.layers:
            raise ValueError(f"the model has {self.layers} layers, its networks {place}, its caches {counted}")
        return self

    @property
    def split(self) -> tuple[Layers, ...]:
        """The networks of the split model in order."""
        return tuple(part for part in (self.head, self.tail, self.last) if part is not None)

    @property
    def cut(self) -> int:
        """Number of layers of the head."""
        return self.head.layers

    def agreed(self) -> dict[str, Any]:
        """Architecture, layout, layers, sizes and cache."""
        kept = {"architecture", "layout", "layers", "width", "vocabulary", "positions_max", "cache", "key_values"}
        return {"kind": self.kind, "cut": self.cut, **self.model_dump(mode="json", include=kept)}
