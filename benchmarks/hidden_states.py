"""What crosses when a language model is split: what each mode of the codec costs, and what is read back from it.

    python benchmarks/hidden_states.py B.isthmus TEXT [--tokens 2048] [--read 64] [--epochs 10]

The first part puts windows of a text through head, codec and tail, and compares the likeliest tokens with those that head and
tail give without a codec. Of the text that an export was given with --data, every other 256 tokens made the calibration: give
this another text, or know that part of it was seen.

The second part plays a server that has the head too, which every server may have: the head is in the bundle. It reads the text
from the hidden states alone, position after position: of all tokens it takes the one whose hidden state, behind those that it has
read already, is the nearest.

The third part plays somebody who has no network of the model at all, only texts with their hidden states as they crossed: a
linear probe learns from those of the text in front of its end to tell the token of each row, and is asked about its end.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from isthmus.codec.hidden.calibration import of_bundle
from isthmus.codec.hidden.codec import MODES, HiddenCodec
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import open_language
from isthmus.devices.decoder.decoder import Decoder
from isthmus.head.conversation.words import Words

WINDOW = 128
"""Tokens that go through together."""
PROBE_ROWS = 256
"""In a step of the probe's training."""


def windows(ids: np.ndarray, count: int) -> list[np.ndarray]:
    """The last windows of a text."""
    whole = ids[-(count // WINDOW) * WINDOW :]
    return [whole[begin : begin + WINDOW] for begin in range(0, len(whole) - WINDOW + 1, WINDOW)]


def crossed(codec: HiddenCodec, hidden: np.ndarray, mode: Mode | None) -> np.ndarray:
    """Hidden states as they arrive; None crosses as float32."""
    return hidden if mode is None else codec.decode(codec.encode(hidden, mode), len(hidden))


def judge(
    head: Decoder, tail: Decoder, codec: HiddenCodec, parts: list[np.ndarray], mode: Mode | None
) -> tuple[np.ndarray, float]:
    """The likeliest token at every position, and the perplexity."""
    caches = [network.new_cache(WINDOW) for network in (head, tail)]
    likeliest, losses = [], []
    for ids in parts:
        logits = tail.run(crossed(codec, head.run(ids, caches[0], 0), mode), caches[1], 0).astype(np.float64)
        likeliest.append(logits.argmax(axis=1))
        normal = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) + logits.max(axis=1)
        losses.append((normal - logits[np.arange(len(ids)), np.roll(ids, -1)])[:-1])
    return np.concatenate(likeliest), float(np.exp(np.concatenate(losses).mean()))


def read(head: Decoder, codec: HiddenCodec, ids: np.ndarray, mode: Mode | None, vocabulary: int) -> float:
    """Share of a text's tokens that are read from its hidden states."""
    seen = crossed(codec, head.run(ids, head.new_cache(WINDOW), 0), mode)
    cache, right = head.new_cache(WINDOW), 0
    for pos, wanted in enumerate(seen):
        tries = [head.run(np.array([token]), cache, pos)[0] for token in range(vocabulary)]
        found = int(np.linalg.norm(np.array(tries) - wanted, axis=1).argmin())
        head.run(np.array([found]), cache, pos)
        right += found == ids[pos]
    return right / len(ids)


def probe(rows: np.ndarray, ids: np.ndarray, asked: int, *, vocabulary: int, epochs: int) -> float:
    """Share of the last tokens that a linear probe tells, which has learned from those before them.

    Args:
        rows: float32[row, channel], as they crossed.
        ids: int64[row].
        asked: how many of the last ones are not learned.
        vocabulary: of the model.
        epochs: over the rows that are learned.
    """
    torch.manual_seed(0)
    scaled = torch.from_numpy((rows - rows[:-asked].mean(axis=0)) / (rows[:-asked].std(axis=0) + 1e-6))
    wanted, layer = torch.from_numpy(ids), torch.nn.Linear(rows.shape[1], vocabulary)
    optimizer = torch.optim.Adam(layer.parameters(), lr=3e-3)
    for _ in range(epochs):
        for some in torch.randperm(len(rows) - asked).split(PROBE_ROWS):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(scaled[some]), wanted[some]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((layer(scaled[-asked:]).argmax(1) == wanted[-asked:]).float().mean())


def probed(
    head: Decoder, codec: HiddenCodec, ids: np.ndarray, mode: Mode | None, asked: int, *, epochs: int, vocabulary: int
) -> float:
    """The same of a whole text."""
    cache, parts = head.new_cache(WINDOW), windows(ids, len(ids))
    rows = np.concatenate([crossed(codec, head.run(part, cache, 0), mode) for part in parts])
    return probe(rows, np.concatenate(parts), asked, vocabulary=vocabulary, epochs=epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, default=2048, help="of the text's end")
    parser.add_argument("--read", type=int, default=64, help="tokens that are read from their hidden states")
    parser.add_argument("--epochs", type=int, default=10, help="of the probe; 0: none")
    options = parser.parse_args()
    bundle = open_language(options.bundle)
    head, tail = (Decoder.of_bundle(bundle, name) for name in ("head.onnx", "tail.onnx"))
    codec = HiddenCodec(of_bundle(bundle, bundle.manifest.width))
    ids = np.array(Words(bundle).encode(options.text.read_text(encoding="utf-8"), special=False))
    parts, vocabulary = windows(ids, options.tokens), bundle.manifest.vocabulary
    plain, _ = judge(head, tail, codec, parts, None)
    learned = len(windows(ids, len(ids))) * WINDOW - len(plain)
    told = f"{len(plain)} tokens; with the head {options.read} are read, the probe has learned from {learned} others"
    print(f"cut behind layer {bundle.manifest.cut} of {bundle.manifest.layers}, {told}\n")
    print("| mode | bytes a token | same token likeliest | perplexity | read with the head | read by a probe |")
    print("|---|---|---|---|---|---|")
    for mode in (None, *reversed(MODES)):
        likeliest, perplexity = judge(head, tail, codec, parts, mode)
        name, size = ("float32", 4 * codec.width) if mode is None else (mode.name.removeprefix("HIDDEN_").lower(), 0)
        size = size or codec.payload_bytes(2, mode) - codec.payload_bytes(1, mode)
        share = read(head, codec, parts[0][: options.read], mode, vocabulary)
        told = "-"
        if options.epochs:
            told = f"{probed(head, codec, ids, mode, len(plain), epochs=options.epochs, vocabulary=vocabulary):.1%}"
        print(f"| `{name}` | {size} | {(likeliest == plain).mean():.2%} | {perplexity:.3f} | {share:.0%} | {told} |", flush=True)


if __name__ == "__main__":
    main()
