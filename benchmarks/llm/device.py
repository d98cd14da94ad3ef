"""The device, as a process of its own that has one conversation and prints what it cost as JSON.

    python -m benchmarks.llm.device BUNDLE [--tail HOST:PORT --server PID] [--layout tokens] [--hidden int8] [--torch FOLDER]

A short answer comes first: networks are loaded and the stream is open before the one that is measured.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from benchmarks.server.process import CpuClock

from isthmus.codec.payload import Mode
from isthmus.contract.bundle import open_language
from isthmus.devices.sampler import Sampling
from isthmus.head.conversation.conversation import Conversation
from isthmus.head.conversation.settings import TalkSettings

Answer = Callable[[list[int]], Iterator[object]]
"""Tokens behind a prompt, one after the other."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tail", help="server; without one, the device is alone")
    parser.add_argument("--server", type=int, help="its process, whose processor time is told")
    parser.add_argument("--layout", default="", help="tokens: token ids cross")
    parser.add_argument("--hidden", default="int8", help="mode of hidden states (default: %(default)s)")
    parser.add_argument("--torch", type=Path, help="folder of the model: transformers on torch instead")
    parser.add_argument("--prompt", type=int, default=64, help="tokens (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=16, help="of the answer (default: %(default)s)")
    options = parser.parse_args()
    if options.torch:
        vocabulary = json.loads((options.torch / "config.json").read_text(encoding="utf-8"))["vocab_size"]
        told = talk(_torch(options.torch), vocabulary, options.prompt, options.tokens)
    else:
        told = converse(options)
    print(json.dumps(told))


def converse(options: argparse.Namespace) -> dict[str, Any]:
    """The conversation of a bundle's device."""
    bundle = open_language(options.bundle)
    settings = TalkSettings(
        layout=options.layout, mode=Mode[f"HIDDEN_{options.hidden.upper()}"], local=options.tail is None, device_id="benchmark"
    )
    addresses = [] if options.tail is None else [options.tail]
    conversation = Conversation(bundle, addresses, sampling=Sampling(), settings=settings)
    try:
        return talk(
            conversation.answer,
            bundle.manifest.vocabulary,
            options.prompt,
            options.tokens,
            crossed=lambda: conversation.bytes_up_down,
            server=options.server,
        )
    finally:
        conversation.close()


def talk(
    answer: Answer,
    vocabulary: int,
    prompt: int,
    tokens: int,
    *,
    crossed: Callable[[], tuple[int, int]] = lambda: (0, 0),
    server: int | None = None,
) -> dict[str, Any]:
    """Have an answer and say what it cost.

    Args:
        answer: draws tokens.
        vocabulary: to draw the prompt from.
        prompt: how many tokens before it.
        tokens: of the answer.
        crossed: bytes of messages up and down so far.
        server: process whose processor time counts.
    """
    ids = np.random.default_rng(6).permutation(vocabulary)[: prompt + 1].tolist()
    for _, _token in zip(range(2), answer(ids[:1]), strict=False):
        pass
    sent, began, stamps = crossed(), time.perf_counter(), []
    tokens_of = answer(ids[1:])
    next(tokens_of)
    first = time.perf_counter()
    after_first, clocks, mine = crossed(), _clock(server), time.process_time()
    for _, _token in zip(range(tokens - 1), tokens_of, strict=False):
        stamps.append(time.perf_counter())
    mine = time.process_time() - mine
    end, count = crossed(), len(stamps)
    gaps = np.diff([first, *stamps])
    return {
        "first_ms": 1e3 * (first - began),
        "token_ms": 1e3 * float(np.median(gaps)),
        "tokens_per_s": count / (stamps[-1] - first),
        "prompt_up": after_first[0] - sent[0],
        "prompt_down": after_first[1] - sent[1],
        "token_up": (end[0] - after_first[0]) / count,
        "token_down": (end[1] - after_first[1]) / count,
        "device_cpu_ms": 1e3 * mine / count,
        "server_cpu_ms": None if clocks is None else 1e3 * clocks.spent_s() / count,
        "device_mb": psutil.Process().memory_info().rss / 1e6,
        "server_mb": None if server is None else psutil.Process(server).memory_info().rss / 1e6,
        "tokens": count + 1,
        "prompt": prompt,
    }


def _clock(server: int | None) -> CpuClock | None:
    return None if server is None else CpuClock(server)


def _torch(folder: Path) -> Answer:
    """Greedy answers of transformers' own model."""
    from benchmarks.llm.compute import Torch

    model = Torch(folder)

    def answer(prompt: list[int]) -> Iterator[int]:
        model.restart()
        ids = np.array(prompt)
        while True:
            token = int(model.run(ids, keep=1)[-1].argmax())
            yield token
            ids = np.array([token])

    return answer


if __name__ == "__main__":
    main()
