"""Folders of language models with random weights, as Hugging Face writes them, in milliseconds and without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT = "the head is on the device and the tail is on the server, and only what has to cross crosses the narrow strip. "
SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
"""Entries of a configuration that make a model tiny."""
FAMILIES = {
    "llama": {"architectures": ["LlamaForCausalLM"]},
    "llama3": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "tie_word_embeddings": True,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "mistral": {"architectures": ["MistralForCausalLM"], "sliding_window": 24},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "rope_theta": 1000000.0},
    "granite": {
        "architectures": ["GraniteForCausalLM"],
        "attention_multiplier": 0.3,
        "embedding_multiplier": 6.0,
        "residual_multiplier": 0.22,
        "logits_scaling": 2.0,
    },
    "olmo2": {"architectures": ["Olmo2ForCausalLM"]},
    "phi3": {"architectures": ["Phi3ForCausalLM"], "sliding_window": 24, "pad_token_id": 0},
    "smollm3": {"architectures": ["SmolLM3ForCausalLM"], "pad_token_id": 0, "no_rope_layer_interval": 2},
    "gemma": {"architectures": ["GemmaForCausalLM"], "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": True},
    "gemma2": {
        "architectures": ["Gemma2ForCausalLM"],
        "sliding_window": 24,
        "query_pre_attn_scalar": 20,
        "attn_logit_softcapping": 3.0,
        "final_logit_softcapping": 10.0,
        "tie_word_embeddings": True,
    },
    "gemma3": {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "sliding_window": 24,
        "sliding_window_pattern": 2,
        "query_pre_attn_scalar": 20,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "tie_word_embeddings": True,
    },
}
"""Additions to a configuration, by family."""
TRACED = {"gpt2": {"architectures": ["GPT2LMHeadModel"], "tie_word_embeddings": True}}
"""The same of families that no builder knows."""
NORMS = {
    "olmo2": ("post_attention", "post_feedforward"),
    "gemma2": ("input", "post_attention", "pre_feedforward", "post_feedforward"),
    "gemma3_text": ("input", "post_attention", "pre_feedforward", "post_feedforward"),
}
"""Of a layer, by kind of model, where they are not Llama's."""


def write_folder(
    folder: Path,
    family: str = "llama",
    *,
    seed: int = 0,
    shards: int = 1,
    extra: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    **changed: Any,
) -> Path:
    """Write a model of four layers.

    Args:
        folder: made.
        family: of `FAMILIES` or `TRACED`.
        seed: of the weights.
        shards: files of weights.
        extra: weights that no layer knows.
        without: weights that are left out.
        changed: entries of the configuration that are others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": family,
        **SIZES,
        "head_dim": 16,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": 0,
        "tie_word_embeddings": False,
        **(FAMILIES | TRACED)[family],
        **changed,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.7, "eos_token_id": [0, 1]}))
    made = _weights(_shapes_of_gpt2(config) if family == "gpt2" else _shapes(config), config, seed)
    weights = {name: array for name, array in made.items() if name not in without}
    _write_weights(folder, weights | dict.fromkeys(extra, np.ones(4, np.float32)), shards)
    _write_tokenizer(folder)
    return folder


def _weights(shapes: dict[str, tuple[int, ...]], config: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    middle = 0 if config["model_type"].startswith("gemma") else 1
    # Large enough that greedy answers do not repeat one token.
    return {
        name: (random.normal(middle, 0.2, shape) if _scales(name) else random.normal(0, 0.15, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def _scales(name: str) -> bool:
    return ("norm" in name or "ln_" in name) and name.endswith("weight")


def _shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], config["hidden_size"])}
    for layer in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in _layer(config).items()}
    shapes["model.norm.weight"] = (config["hidden_size"],)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], config["hidden_size"])
    return shapes


def _shapes_of_gpt2(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    width = config["hidden_size"]
    matrices = {"attn.c_attn": 3 * width, "attn.c_proj": width, "mlp.c_fc": 4 * width, "mlp.c_proj": width}
    layer = {f"{name}.weight": (4 * width if name == "mlp.c_proj" else width, out) for name, out in matrices.items()}
    layer |= {f"{name}.bias": (out,) for name, out in matrices.items()}
    layer |= {f"{name}.{kind}": (width,) for name in ("ln_1", "ln_2") for kind in ("weight", "bias")}
    shapes = {f"h.{index}.{name}": shape for index in range(config["num_hidden_layers"]) for name, shape in layer.items()}
    shapes |= {"wte.weight": (config["vocab_size"], width), "wpe.weight": (config["max_position_embeddings"], width)}
    shapes |= {f"ln_f.{kind}": (width,) for kind in ("weight", "bias")}
    return {f"transformer.{name}": shape for name, shape in shapes.items()}


def _layer(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Weights of a layer: name and shape."""
    family, width, inner, head = (config[name] for name in ("model_type", "hidden_size", "intermediate_size", "head_dim"))
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    rows = {"q": queries, "k": keys, "v": keys}
    shapes: dict[str, tuple[int, ...]] = {"self_attn.o_proj.weight": (width, queries), "mlp.down_proj.weight": (width, inner)}
    if family == "phi3":
        shapes |= {"self_attn.qkv_proj.weight": (queries + 2 * keys, width), "mlp.gate_up_proj.weight": (2 * inner, width)}
    else:
        shapes |= {f"self_attn.{one}_proj.weight": (rows[one], width) for one in "qkv"}
        shapes |= {f"mlp.{one}_proj.weight": (inner, width) for one in ("gate", "up")}
    if family == "qwen2":
        shapes |= {f"self_attn.{one}_proj.bias": (rows[one],) for one in "qkv"}
    if family in ("qwen3", "gemma3_text"):
        shapes |= {f"self_attn.{one}_norm.weight": (head,) for one in "qk"}
    if family == "olmo2":
        shapes |= {f"self_attn.{one}_norm.weight": (rows[one],) for one in "qk"}
    return shapes | {f"{name}_layernorm.weight": (width,) for name in NORMS.get(family, ("input", "post_attention"))}


def _write_weights(folder: Path, weights: dict[str, np.ndarray], shards: int) -> None:
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    places = {name: f"model-{index % shards + 1:05}-of-{shards:05}.safetensors" for index, name in enumerate(weights)}
    for file in set(places.values()):
        save_file({name: weights[name] for name in weights if places[name] == file}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def _write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
