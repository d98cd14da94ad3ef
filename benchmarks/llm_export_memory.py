"""Memory for the export of a language model: what grows with the model, and what does not.

Folders with random weights are written in bfloat16, in shards of 1 GB, with small configurations of Llama 3.2's kind and the real
ones of Qwen2.5-0.5B and Llama-3.2-1B; each is exported in a process of its own, gates included. Printed are the peaks of that
process over what it held after its imports: anonymous memory, which it needs, and memory of mapped files, which the kernel may
drop at any time; and one layer in float32 beside them. Random weights say nothing of how well a model is split or quantised.

    python benchmarks/llm_export_memory.py [--models llama-50m,...] [--weights float32|int8|int4] [--folder DIR] [--json PATH]

The largest needs 14 GB on disk in float32. It is not part of continuous integration.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from markdown import table

SHARD_BYTES = 1_000_000_000
BLOCK_VALUES = 1_000_003
"""A prime: no two rows of a matrix are equal."""
SAMPLE_S = 0.01
LLAMA_3_2 = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "tie_word_embeddings": True,
    "head_dim": 64,
}
QWEN_2_5 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 32768,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
MODELS = {
    "llama-50m": {**LLAMA_3_2, **dict(zip(SIZES, (512, 1408, 12, 8, 4, 32000), strict=True))},
    "llama-100m": {**LLAMA_3_2, **dict(zip(SIZES, (768, 2048, 12, 12, 4, 32000), strict=True))},
    "qwen2.5-0.5b": {**QWEN_2_5, **dict(zip(SIZES, (896, 4864, 24, 14, 2, 151936), strict=True))},
    "llama-3.2-1b": {**LLAMA_3_2, **dict(zip(SIZES, (2048, 8192, 16, 32, 8, 128256), strict=True))},
}


def shapes(config: dict[str, object]) -> dict[str, tuple[int, ...]]:
    """Of all weights of a configuration."""
    width, inner, layers, heads, keys, vocabulary = (int(str(config[name])) for name in SIZES)
    head = int(str(config.get("head_dim", width // heads)))
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, width), "model.norm.weight": (width,)}
    for layer in range(layers):
        name = f"model.layers.{layer}."
        for one, rows in (("q", heads * head), ("k", keys * head), ("v", keys * head)):
            found[f"{name}self_attn.{one}_proj.weight"] = (rows, width)
            if config["model_type"] == "qwen2":
                found[f"{name}self_attn.{one}_proj.bias"] = (rows,)
        found |= {f"{name}self_attn.o_proj.weight": (width, heads * head), f"{name}mlp.down_proj.weight": (width, inner)}
        found |= {f"{name}mlp.gate_proj.weight": (inner, width), f"{name}mlp.up_proj.weight": (inner, width)}
        found |= {f"{name}input_layernorm.weight": (width,), f"{name}post_attention_layernorm.weight": (width,)}
    return found


def generate(folder: Path, config: dict[str, object]) -> None:
    """Write a folder; weights go to their shard one by one."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    for name, shape in shapes(config).items():
        if sum(2 * int(np.prod(one)) for one in shards[-1].values()) > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = shape
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        places |= dict.fromkeys(shard, file)
        _write_shard(folder / file, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def _write_shard(path: Path, shard: dict[str, tuple[int, ...]]) -> None:
    """One block of random numbers over and over, begun elsewhere each time; norms are all one."""
    block = np.random.default_rng(0).normal(0, 0.02, BLOCK_VALUES).astype(np.float32)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, shape in shard.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for number, shape in enumerate(shard.values()):
            left = int(np.prod(shape))
            values = np.ones(left, np.float32) if len(shape) == 1 else np.roll(block, 7919 * number)
            halves = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
            while left:
                left -= stream.write(halves[: 2 * left]) // 2


def held() -> tuple[int, int]:
    """Bytes of anonymous memory and of mapped files that this process has in memory."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    anonymous, mapped = (int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return anonymous, mapped


class Watch(threading.Thread):
    """Remembers the most that this process held."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous = self.mapped = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Look until it has ended."""
        while not self.ended.wait(SAMPLE_S):
            anonymous, mapped = held()
            self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)


def export(folder: Path, output: Path, weights: str) -> dict[str, float]:
    """Export in this process; peaks over what it held before, and the time it took."""
    from isthmus.export.language.exporter import export as make
    from isthmus.export.language.settings import LanguageSettings

    # What transformers imports when it is first used is no growth.
    config = json.loads((folder / "config.json").read_text())
    warm_up(config["model_type"])
    before, watch = held(), Watch()
    watch.start()
    started, cpu = time.perf_counter(), time.process_time()
    bundle = make(folder, output, LanguageSettings(head_weights=weights, tail_weights=weights))  # type: ignore[arg-type]
    watch.ended.set()
    watch.join()
    return {
        "parameters": sum(int(np.prod(shape)) for shape in shapes(config).values()),
        "layer_bytes": 4 * sum(int(np.prod(shape)) for name, shape in shapes(config).items() if ".layers.0." in name),
        "embedding_bytes": 4 * config["vocab_size"] * config["hidden_size"],
        "bundle_bytes": bundle.size_bytes(),
        "anonymous_bytes": watch.anonymous - before[0],
        "mapped_bytes": watch.mapped - before[1],
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "logits_error": bundle.manifest.gates[0].value,
    }


def warm_up(kind: str) -> None:
    """Have transformers import what it does for a model of this kind."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {**dict.fromkeys(SIZES, 16), "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes))


def measure(name: str, weights: str, place: Path) -> dict[str, object]:
    """Generate, export in a process of its own, remove."""
    folder = place / name
    generate(folder, MODELS[name])
    command = [sys.executable, __file__, "--export", str(folder), "--weights", weights]
    environment = {**os.environ, "TMPDIR": str(place)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    finally:
        shutil.rmtree(folder)
    return {"model": name, "weights": weights, **json.loads(done.stdout.splitlines()[-1])}


def show(rows: list[dict[str, object]]) -> None:
    """A line for each model."""
    shown = ("parameters", "layer_bytes", "embedding_bytes", "anonymous_bytes", "mapped_bytes", "cpu_s", "wall_s", "logits_error")
    print(table(("model", "weights", *shown), [(row["model"], row["weights"], *map(row.get, shown)) for row in rows], cell))


def cell(value: object) -> str:
    """Of a table: sizes and counts in millions."""
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value / 1e6:,.0f} M" if value >= 1e6 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS), help="names, separated by commas")
    parser.add_argument("--weights", default="float32", choices=["float32", "int8", "int4"])
    parser.add_argument("--folder", type=Path, help="where the files go; default a temporary folder")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="isthmus-memory-", dir=options.folder) as temporary:
        if options.export:
            print(json.dumps(export(options.export, Path(temporary) / "bundle", options.weights)))
            return
        rows = [measure(name, options.weights, Path(temporary)) for name in options.models.split(",")]
    show(rows)
    if options.json:
        options.json.write_text(json.dumps({"meta": {"weights": options.weights}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
