"""The models: a scaled-down Llama 3.2 with random weights, and the smallest model that was trained.

Weights of the first are noise: it shows speed, bytes and memory and says nothing of answers. Bundles are exported once and kept.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from isthmus.contract.bundle import LanguageBundle, open_language
from isthmus.errors import IsthmusError
from isthmus.export.language.exporter import export
from isthmus.export.language.settings import LanguageSettings

DATA = Path(os.environ.get("ISTHMUS_DATA", "../shared/data"))
CONVERTER = Path(__file__).parents[2] / "examples" / "convert_llama2c.py"
PLAYS, PLAYS_LEARNED = Path("text/tinyshakespeare.txt"), 0.9
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Llama 3.2 1B with a fourth of its channels, heads and tokens.

    The real one has 16 layers of 2048 channels, 32 heads of 64, 8 for keys and values, inner layers four times as wide, and
    128,256 tokens whose embedding is tied.
    """

    name: str = "Llama 3.2 1B at a fourth of its width"
    layers: int = 16
    width: int = 512
    heads: int = 8
    key_value_heads: int = 2
    head: int = 64
    vocabulary: int = 32064

    @property
    def inner(self) -> int:
        """Channels inside the multilayer perceptron."""
        return 4 * self.width

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Shapes by the names of transformers."""
        queries, keys = self.heads * self.head, self.key_value_heads * self.head
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, self.width)}
        for layer in range(self.layers):
            name = f"model.layers.{layer}."
            for one, rows in (("q", queries), ("k", keys), ("v", keys)):
                shapes[f"{name}self_attn.{one}_proj.weight"] = (rows, self.width)
            shapes[f"{name}self_attn.o_proj.weight"] = (self.width, queries)
            shapes |= {f"{name}mlp.{one}_proj.weight": (self.inner, self.width) for one in ("gate", "up")}
            shapes[f"{name}mlp.down_proj.weight"] = (self.width, self.inner)
            shapes |= {f"{name}{one}_layernorm.weight": (self.width,) for one in ("input", "post_attention")}
        return shapes | {"model.norm.weight": (self.width,)}

    @property
    def parameters(self) -> int:
        """Of the whole model, the tied embedding once.

        >>> Shape().parameters
        77251072
        """
        return sum(int(np.prod(shape)) for shape in self.weights().values())

    def config(self) -> dict[str, Any]:
        """As `config.json` has it, with the rotary scaling of Llama 3.2."""
        scaling = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "rope_scaling": {"rope_type": "llama3", **scaling},
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": None,
        }


def write_random(folder: Path, shape: Shape) -> Path:
    """Write a folder as Hugging Face has it, unless it is there."""
    config = json.dumps(shape.config(), indent=2)
    if not (folder / "config.json").is_file() or (folder / "config.json").read_text(encoding="utf-8") != config:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        random = np.random.default_rng(0)
        weights = {
            name: np.ones(size, np.float32) if "norm" in name else random.normal(0, 0.02, size).astype(np.float32)
            for name, size in shape.weights().items()
        }
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(config, encoding="utf-8")
    return folder


def convert_trained(folder: Path) -> Path | None:
    """The trained model as a folder; None where ISTHMUS_DATA does not have it."""
    source = DATA / "lm_stories260k"
    if not source.is_dir():
        return None
    if not (folder / "config.json").is_file():
        command = [sys.executable, str(CONVERTER), str(source / "stories260K.bin"), str(source / "tok512.bin"), str(folder)]
        subprocess.run(command, check=True)
    return folder


def held_out_plays(target: Path) -> Path:
    """Write what the model of `isthmus demo --llm` has not learned of its text, where ISTHMUS_DATA has that; returns `target`."""
    plays = DATA / PLAYS
    if plays.is_file():
        text = plays.read_text(encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text[int(len(text) * PLAYS_LEARNED) :], encoding="utf-8")
    return target


def bundle_of(folder: Path, place: Path, settings: LanguageSettings, *, say: Say) -> LanguageBundle:
    """The bundle of a model, exported unless the same one is there."""
    chosen = (settings.head_weights, settings.tail_weights, settings.local or "none", settings.positions)
    output = place / f"{folder.name}-{settings.layout}-{settings.cut}-{'-'.join(map(str, chosen))}.isthmus"
    try:
        return open_language(output)
    except IsthmusError:
        say(f"exporting {output.name}")
        return export(folder, output, settings)
