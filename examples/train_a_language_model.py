"""Train a small Llama from scratch on texts, its tokenizer too, and write a Hugging Face folder that `isthmus export` cuts.

    python examples/train_a_language_model.py shakespeare.txt -o shakespeare --minutes 15
    isthmus export shakespeare --cut 2 --data shakespeare.txt -o shakespeare.isthmus

The last tenth of each text is held out, and written beside the model as `held_out.txt`: what is measured on it was not learned.
`written.txt` is what the model writes by itself, a text to calibrate with where the other one must stay.
The learning rate falls along the minutes that are given, so that the training may be short or long. Weights are written in
float16: 2.4 million of them, 4.9 MB. `isthmus demo --llm` has the model that 25 minutes on one core gave.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

END = "<|end|>"
VOCABULARY, POSITIONS = 1024, 512
ROWS, BATCH = 128, 8
RATE = 3e-3
HELD_OUT = 0.1
WRITTEN_ROWS, WRITTEN_TOKENS = 48, 256


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Pairs of bytes, as GPT-2 has them; no text puts anything before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config)


def windows(ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """int64[batch, row + 1] from random places."""
    starts = torch.randint(0, len(ids) - ROWS, (BATCH,), generator=generator).tolist()
    return torch.stack([ids[start : start + ROWS + 1] for start in starts])


def loss_of(model: LlamaForCausalLM, batch: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=batch[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def train(model: LlamaForCausalLM, ids: torch.Tensor, seconds: float) -> int:
    """Train for a time; the number of steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    generator, started, steps = torch.Generator().manual_seed(0), time.monotonic(), 0
    while (gone := (time.monotonic() - started) / seconds) < 1 or not steps:
        rate = RATE * min(1.0, (steps + 1) / 50) * (0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, gone))))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(model, windows(ids, generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if steps % 100 == 0:
            print(f"step {steps}, {gone:.0%} of the time: {loss.item():.3f} nats a token", flush=True)
        steps += 1
    return steps


@torch.no_grad()
def held_out_loss(model: LlamaForCausalLM, ids: torch.Tensor) -> float:
    """Nats a token on up to 64 windows side by side."""
    count = min(64, (len(ids) - 1) // ROWS)
    return sum(loss_of(model, ids[None, at * ROWS : (at + 1) * ROWS + 1]).item() for at in range(count)) / count


@torch.no_grad()
def write(model: LlamaForCausalLM, tokenizer: Tokenizer) -> str:
    """A text by the model, each part begun with a line's end and drawn token by token as likely as it finds them."""
    begun = torch.tensor([tokenizer.encode("\n").ids] * WRITTEN_ROWS)
    drawn = model.generate(
        begun,
        attention_mask=torch.ones_like(begun),
        max_new_tokens=WRITTEN_TOKENS,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        pad_token_id=0,
    )
    return "".join(tokenizer.decode(row.tolist()) for row in drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    options = parser.parse_args()
    texts = [path.read_text(encoding="utf-8") for path in options.texts]
    ends = [int(len(text) * (1 - HELD_OUT)) for text in texts]
    tokenizer = train_tokenizer([text[:end] for text, end in zip(texts, ends, strict=True)])
    learned = torch.tensor([one for text, end in zip(texts, ends, strict=True) for one in tokenizer.encode(text[:end]).ids])
    held_out = [text[end:] for text, end in zip(texts, ends, strict=True)]
    kept = torch.tensor([one for text in held_out for one in tokenizer.encode(text).ids])
    model = make_model()
    steps = train(model, learned, 60 * options.minutes)
    model = model.half().float().eval()
    loss = held_out_loss(model, kept)
    per_byte = loss * len(kept) / sum(len(text.encode()) for text in held_out) / math.log(2)
    model.half().save_pretrained(options.output)
    tokenizer.save(str(options.output / "tokenizer.json"))
    (options.output / "written.txt").write_text(write(model.float(), tokenizer), encoding="utf-8")
    (options.output / "held_out.txt").write_text("".join(held_out), encoding="utf-8")
    said = {"texts": [path.name for path in options.texts], "steps": steps, "nats_per_token": loss, "bits_per_byte": per_byte}
    (options.output / "training.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    print(f"{options.output}: {steps} steps, {loss:.3f} nats a token, {per_byte:.3f} bits a byte on the held-out text")


if __name__ == "__main__":
    main()
