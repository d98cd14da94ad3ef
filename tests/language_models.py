"""Folders of language models with random weights, as Hugging Face writes them, in milliseconds and without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT = "the head is on the device and the tail is on the server, and only what has to cross crosses the narrow strip. "
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
}
"""Additions to a configuration, by family."""


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
        family: of `FAMILIES`.
        seed: of the weights.
        shards: files of weights.
        extra: weights that no layer knows.
        without: weights that are left out.
        changed: entries of the configuration that are others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": family,
        "vocab_size": 300,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_act": "silu",
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": 0,
        "tie_word_embeddings": False,
        **FAMILIES[family],
        **changed,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.7, "eos_token_id": [0, 1]}))
    weights = {name: array for name, array in _weights(config, seed).items() if name not in without}
    _write_weights(folder, weights | dict.fromkeys(extra, np.ones(4, np.float32)), shards)
    _write_tokenizer(folder)
    return folder


def _weights(config: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    width, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        shapes |= {
            f"{name}self_attn.{one}_proj.weight": (rows, width) for one, rows in zip("qkv", (queries, keys, keys), strict=True)
        }
        shapes |= {f"{name}self_attn.o_proj.weight": (width, queries), f"{name}mlp.down_proj.weight": (width, inner)}
        shapes |= {f"{name}mlp.{one}_proj.weight": (inner, width) for one in ("gate", "up")}
        shapes |= {f"{name}{one}_layernorm.weight": (width,) for one in ("input", "post_attention")}
        if config["model_type"] == "qwen2":
            shapes |= {
                f"{name}self_attn.{one}_proj.bias": (rows,) for one, rows in zip("qkv", (queries, keys, keys), strict=True)
            }
        if config["model_type"] == "qwen3":
            shapes |= {f"{name}self_attn.{one}_norm.weight": (head,) for one in "qk"}
    shapes["model.norm.weight"] = (width,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    # Large enough that greedy answers do not repeat one token.
    return {
        name: (random.normal(1, 0.2, shape) if "norm" in name else random.normal(0, 0.15, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


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
