"""A checkpoint of llama2.c ("version 0": `stories260K.bin` and its `tok512.bin`) as a Hugging Face folder.

    python examples/convert_llama2c.py stories260K.bin tok512.bin stories260k
    isthmus export stories260k --cut 2 -o stories.isthmus

The checkpoint holds seven int32 (width, inner width, layers, heads, key-value heads, vocabulary, positions), then float32
weights, each kind stacked over the layers. Its rotary positions turn neighbouring values, Hugging Face's the two halves of a
head, so the rows of queries and keys are put in another order. A vocabulary below zero means that the language model's head has
weights of its own.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

BYTES_FROM = 3
"""Id of byte 0; before it are unknown, begin and end."""


def read_weights(path: Path) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Sizes, and weights by their names in a folder."""
    data = path.read_bytes()
    names = ("width", "inner", "layers", "heads", "key_value_heads", "vocabulary", "positions")
    sizes = dict(zip(names, struct.unpack_from("<7i", data), strict=True))
    tied, sizes["vocabulary"] = sizes["vocabulary"] > 0, abs(sizes["vocabulary"])
    numbers, place = np.frombuffer(data, "<f4", offset=28), 0
    width, inner, layers = sizes["width"], sizes["inner"], sizes["layers"]
    head = width // sizes["heads"]
    keys = head * sizes["key_value_heads"]

    def take(*shape: int) -> np.ndarray:
        nonlocal place
        place += int(np.prod(shape))
        return numbers[place - int(np.prod(shape)) : place].reshape(shape)

    weights = {"model.embed_tokens.weight": take(sizes["vocabulary"], width)}
    kinds = [
        ("input_layernorm", (width,)),
        ("self_attn.q_proj", (width, width)),
        ("self_attn.k_proj", (keys, width)),
        ("self_attn.v_proj", (keys, width)),
        ("self_attn.o_proj", (width, width)),
        ("post_attention_layernorm", (width,)),
        ("mlp.gate_proj", (inner, width)),
        ("mlp.down_proj", (width, inner)),
        ("mlp.up_proj", (inner, width)),
    ]
    for kind, shape in kinds:
        for layer, matrix in enumerate(take(layers, *shape)):
            turned = half_rotated(matrix, head) if kind.endswith(("q_proj", "k_proj")) else matrix
            weights[f"model.layers.{layer}.{kind}.weight"] = np.ascontiguousarray(turned)
    weights["model.norm.weight"] = take(width)
    if not tied:
        take(2, sizes["positions"], head // 2)  # cosines and sines, which follow from the sizes
        weights["lm_head.weight"] = take(sizes["vocabulary"], width)
    return {**sizes, "tied": tied}, weights


def half_rotated(matrix: np.ndarray, head: int) -> np.ndarray:
    """Rows of each head from neighbouring pairs to two halves."""
    pairs = matrix.reshape(-1, head // 2, 2, matrix.shape[1])
    return pairs.swapaxes(1, 2).reshape(matrix.shape)


def read_tokenizer(path: Path, vocabulary: int) -> Tokenizer:
    """Pieces with scores, as pairs to merge in the order of the scores of what they make."""
    data, place, pieces, scores = path.read_bytes(), 4, [], []
    for _ in range(vocabulary):
        score, length = struct.unpack_from("<fi", data, place)
        pieces.append(data[place + 8 : place + 8 + length].decode("utf-8").strip("\n").replace(" ", "▁"))
        scores.append(score)
        place += 8 + length
    pieces[:BYTES_FROM] = ["<unk>", "<s>", "</s>"]
    pieces[BYTES_FROM : BYTES_FROM + 256] = [f"<0x{byte:02X}>" for byte in range(256)]
    ids = {piece: number for number, piece in enumerate(pieces)}
    merges = []
    for number in sorted(range(BYTES_FROM + 256, vocabulary), key=lambda number: -scores[number]):
        piece = pieces[number]
        parted = [(piece[:end], piece[end:]) for end in range(1, len(piece))]
        merges += sorted([pair for pair in parted if pair[0] in ids and pair[1] in ids], key=lambda pair: ids[pair[0]])
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in pieces[:BYTES_FROM]])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def main(checkpoint: Path, pieces: Path, folder: Path) -> None:
    sizes, weights = read_weights(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    read_tokenizer(pieces, sizes["vocabulary"]).save(str(folder / "tokenizer.json"))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": sizes["width"],
        "intermediate_size": sizes["inner"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["key_value_heads"],
        "vocab_size": sizes["vocabulary"],
        "max_position_embeddings": sizes["positions"],
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": bool(sizes["tied"]),
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
