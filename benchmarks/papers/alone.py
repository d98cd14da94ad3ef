"""A language model on the device alone, as a process of its own: prefill, decode, memory, and speed over minutes.

    python -m benchmarks.papers.alone BUNDLE [--prompt 128] [--tokens 64] [--rounds 3] [--seconds 0]

Runs `local.onnx` on one thread as `isthmus chat` does without a server, on random tokens, and prints JSON.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.llm.compute import Networks

from isthmus.contract.bundle import open_language
from isthmus.contract.language import LOCAL
from isthmus.devices.memory import peak_resident_bytes, resident_bytes
from isthmus.devices.sensors import thermal, throttling

WINDOW_S = 10.0
"""Over which the speed of a sustained run is told, or half of a short one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--prompt", type=int, default=128, help="tokens that are prefilled (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=64, help="that are decoded behind it (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of both (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.0, help="of a sustained run behind them (default: %(default)s)")
    options = parser.parse_args()
    bundle = open_language(options.bundle)
    before = resident_bytes()
    model = Networks(bundle, LOCAL)
    ids = np.random.default_rng(7).integers(0, bundle.manifest.vocabulary, options.prompt + options.tokens)
    told = speed(model, ids, options.prompt, options.rounds)
    told["windows"] = sustained(model, ids, options.prompt, options.seconds, window_s=min(WINDOW_S, options.seconds / 2))
    told |= {"before_mb": before / 1e6, "peak_mb": peak_resident_bytes() / 1e6, "threads": 1}
    print(json.dumps(told))


def speed(model: Networks, ids: np.ndarray, prompt: int, rounds: int) -> dict[str, Any]:
    """Medians over the rounds, in tokens a second; a first round is not counted."""
    prefill, decode = [], []
    for _ in range(rounds + 1):
        model.restart()
        begun = time.perf_counter()
        model.run(ids[:prompt], keep=1)
        between = time.perf_counter()
        for token in ids[prompt:]:
            model.run(np.array([token]), keep=1)
        prefill.append(prompt / (between - begun))
        decode.append((len(ids) - prompt) / (time.perf_counter() - between))
    return {
        "rounds": rounds,
        "prompt": prompt,
        "tokens": len(ids) - prompt,
        "prefill_tokens_per_s": float(np.median(prefill[1:])),
        "decode_tokens_per_s": float(np.median(decode[1:])),
        "decode_range": [min(decode[1:]), max(decode[1:])],
    }


def sustained(model: Networks, ids: np.ndarray, prompt: int, seconds: float, *, window_s: float) -> list[dict[str, Any]]:
    """Answers one behind the other without a pause: tokens a second of each window, and what sensors tell at its end."""
    found = []
    begun = time.perf_counter()
    while (start := time.perf_counter()) < begun + seconds:
        count = 0
        while time.perf_counter() < start + window_s:
            model.restart()
            model.run(ids[:prompt], keep=1)
            for token in ids[prompt:]:
                model.run(np.array([token]), keep=1)
            count += len(ids) - prompt
        end = time.perf_counter()
        slowed = throttling.look()
        found.append(
            {
                "at_s": end - begun,
                "tokens_per_s": count / (end - start),
                "hottest_c": thermal.hottest_c(),
                "throttled": None if slowed is None else list(slowed.now),
                "throttling_events": None if slowed is None else slowed.events,
            }
        )
    return found


if __name__ == "__main__":
    main()
