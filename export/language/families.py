"""The families whose graph is built directly, and in what they differ from Llama.

All have RMS norms, attention with rotary positions over half-rotated heads, key-value heads that are shared by groups of query
heads, and a gated network. Biases, norms of queries and keys, and matrices that are packed into one are known by their weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Norms:
    """What a layer calls the norms round its two branches; None where there is none.

    Attributes:
        before_attention: of what attention sees.
        after_attention: of what it adds to the residual stream.
        before_network: of what the gated network sees.
        after_network: of what it adds.
    """

    before_attention: str | None = None
    after_attention: str | None = None
    before_network: str | None = None
    after_network: str | None = None


BEFORE = Norms(before_attention="input_layernorm", before_network="post_attention_layernorm")
AFTER = Norms(after_attention="post_attention_layernorm", after_network="post_feedforward_layernorm")
AROUND = Norms(
    before_attention="input_layernorm",
    after_attention="post_attention_layernorm",
    before_network="pre_feedforward_layernorm",
    after_network="post_feedforward_layernorm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Numbers that a family multiplies with, and bounds of what it saturates.

    Attributes:
        attention_scale: of the products of queries and keys.
        embedding: factor on what is looked up.
        residual: factor on what a branch adds to the residual stream.
        logits: factor on the logits.
        norm_offset: added to the scales of norms.
        attention_cap: what attention scores x become, cap * tanh(x / cap); None leaves them.
        logits_cap: the same of logits.
    """

    attention_scale: float
    embedding: float = 1.0
    residual: float = 1.0
    logits: float = 1.0
    norm_offset: float = 0.0
    attention_cap: float | None = None
    logits_cap: float | None = None


def _llama(_config: Any, head_width: int) -> Constants:  # noqa: ANN401 - a configuration of transformers
    return Constants(attention_scale=head_width**-0.5)


def _granite(config: Any, _head_width: int) -> Constants:  # noqa: ANN401
    return Constants(
        attention_scale=config.attention_multiplier,
        embedding=config.embedding_multiplier,
        residual=config.residual_multiplier,
        logits=1 / config.logits_scaling,
    )


def _gemma(config: Any, head_width: int) -> Constants:  # noqa: ANN401
    return Constants(attention_scale=head_width**-0.5, embedding=config.hidden_size**0.5, norm_offset=1.0)


def _gemma2(config: Any, _head_width: int) -> Constants:  # noqa: ANN401
    return Constants(
        attention_scale=config.query_pre_attn_scalar**-0.5,
        embedding=config.hidden_size**0.5,
        norm_offset=1.0,
        attention_cap=config.attn_logit_softcapping,
        logits_cap=config.final_logit_softcapping,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """In what a family differs from Llama.

    Attributes:
        module: of transformers that defines it.
        norms: of a layer.
        constants: from the configuration and the width of a head.
        activation: what the configuration calls the entry that names it.
    """

    module: str
    norms: Norms = BEFORE
    constants: Callable[[Any, int], Constants] = _llama
    activation: str = "hidden_act"


FAMILIES = {
    "LlamaForCausalLM": Family(module="llama"),
    "MistralForCausalLM": Family(module="mistral"),
    "Qwen2ForCausalLM": Family(module="qwen2"),
    "Qwen3ForCausalLM": Family(module="qwen3"),
    "GraniteForCausalLM": Family(module="granite", constants=_granite),
    "Olmo2ForCausalLM": Family(module="olmo2", norms=AFTER),
    "Phi3ForCausalLM": Family(module="phi3"),
    "SmolLM3ForCausalLM": Family(module="smollm3"),
    "GemmaForCausalLM": Family(module="gemma", constants=_gemma),
    "Gemma2ForCausalLM": Family(module="gemma2", norms=AROUND, constants=_gemma2, activation="hidden_activation"),
    "Gemma3ForCausalLM": Family(module="gemma3", norms=AROUND, constants=_gemma2, activation="hidden_activation"),
}
"""By architecture, as `config.json` names it."""
