"""Time of one token, computed alone: the split model, the same model unsplit, and transformers on torch, token by token in turns.

All three run in this process with one thread, on the same tokens at the same positions. What crosses between head and tail is
handed over as it is; packing it is timed apart.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from isthmus.codec.hidden.calibration import of_bundle
from isthmus.codec.hidden.codec import MODES, HiddenCodec
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.language import HEAD, LOCAL, TAIL
from isthmus.devices.decoder.decoder import Decoder

SPLIT, WHOLE, TORCH = "split", "unsplit onnxruntime", "transformers on torch"
PROMPT_ROWS = 32
DRAWS = 2000
"""Of the bootstrap."""


class Model(Protocol):
    """A sequence that grows."""

    def restart(self) -> None:
        """Begin another sequence."""

    def run(self, ids: np.ndarray, *, keep: int | None = None) -> Any:
        """Put tokens through it."""


class Networks:
    """Networks of a bundle one behind the other, loaded as device and server load them."""

    def __init__(self, bundle: LanguageBundle, *names: str) -> None:
        self._networks = [Decoder.of_bundle(bundle, name) for name in names]
        self._caches = [network.new_cache(bundle.manifest.positions_max) for network in self._networks]

    def restart(self) -> None:
        """Begin another sequence."""
        for cache in self._caches:
            cache.truncate(0)

    def run(self, ids: np.ndarray, *, keep: int | None = None) -> np.ndarray:
        """float32[keep, vocabulary]."""
        rows = ids
        for network, cache in zip(self._networks, self._caches, strict=True):
            rows = network.run(rows, cache, cache.length, keep=keep)
        return rows


class Torch:
    """Transformers' own model with its own cache, float32."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, DynamicCache

        torch.set_num_threads(1)
        self._torch = torch
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._new_cache: Any = DynamicCache
        self.restart()

    def restart(self) -> None:
        """Begin another sequence."""
        self._cache = self._new_cache(config=self._model.config)

    def run(self, ids: np.ndarray, *, keep: int | None = None) -> np.ndarray:
        """float32[keep, vocabulary]."""
        with self._torch.inference_mode():
            rows = self._torch.from_numpy(ids)[None]
            given = self._model(input_ids=rows, cache=self._cache, use_cache=True, logits_to_keep=keep or 0)
        return np.asarray(given.logits[0].numpy())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Of two medians.

    Attributes:
        low, high: 95% of the draws lie between them.
    """

    value: float
    low: float
    high: float


def of_bundles(split: LanguageBundle, folder: Path | None) -> dict[str, Model]:
    """The contenders of one precision: a bundle with its `local.onnx`, and a folder where torch is to take part."""
    found: dict[str, Model] = {
        SPLIT: Networks(split, HEAD, TAIL),
        WHOLE: Networks(split, LOCAL),
    }
    return found if folder is None else found | {TORCH: Torch(folder)}


def measure(models: dict[str, Model], vocabulary: int, *, rounds: int, tokens: int) -> dict[str, dict[str, np.ndarray]]:
    """Times in seconds.

    Args:
        models: by name.
        vocabulary: of all of them.
        rounds: sequences; the order in which the models take turns is another one for every token.
        tokens: of each sequence that are timed, behind a prompt.

    Returns:
        name -> `wall` and `cpu` (of this thread), float64[round, token].
    """
    random = np.random.default_rng(2)
    names = list(models)
    found = {name: {clock: np.zeros((rounds, tokens)) for clock in ("wall", "cpu")} for name in names}
    for turn in range(rounds):
        ids = random.integers(0, vocabulary, PROMPT_ROWS + tokens)
        for model in models.values():
            model.restart()
            model.run(ids[:PROMPT_ROWS], keep=1)
        for step in range(tokens):
            token = ids[PROMPT_ROWS + step :][:1]
            for place in range(len(names)):
                name = names[(place + step) % len(names)]
                spent = timed(lambda model=models[name], token=token: model.run(token, keep=1))
                for clock, seconds in spent.items():
                    found[name][clock][turn, step] = seconds
    return found


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Seconds of a call by the clock and of this thread's processor time."""
    wall, cpu = time.perf_counter(), time.thread_time()
    call()
    return {"wall": time.perf_counter() - wall, "cpu": time.thread_time() - cpu}


def ratio(above: np.ndarray, below: np.ndarray) -> Ratio:
    """Median over median, with a bootstrap over the rounds: tokens of one round share what else the machine did.

    Args:
        above: float64[round, token].
        below: the same of the other, of the same rounds.
    """
    random = np.random.default_rng(3)
    drawn = []
    for _ in range(DRAWS):
        rounds = random.integers(0, len(above), len(above))
        drawn.append(np.median(above[rounds]) / np.median(below[rounds]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Ratio(value=float(np.median(above) / np.median(below)), low=float(low), high=float(high))


def packing(bundle: LanguageBundle, *, repeats: int) -> list[dict[str, Any]]:
    """Medians of packing and unpacking the hidden states of one token, by mode; microseconds."""
    codec = HiddenCodec(of_bundle(bundle, bundle.manifest.width))
    row = np.random.default_rng(4).normal(0, 1, (1, codec.width)).astype(np.float32)
    rows = []
    for mode in MODES[::-1]:
        packed = codec.encode(row, mode)
        times: dict[str, Sequence[float]] = {
            "encode_us": [timed(lambda mode=mode: codec.encode(row, mode))["wall"] for _ in range(repeats)],
            "decode_us": [timed(lambda packed=packed: codec.decode(packed, 1))["wall"] for _ in range(repeats)],
        }
        medians = {name: 1e6 * float(np.median(values)) for name, values in times.items()}
        rows.append({"kind": "packing", "mode": mode.name.removeprefix("HIDDEN_").lower(), "bytes": len(packed), **medians})
    return rows


def rows(weights: str, cut: int, times: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """A row for each contender, beside the unsplit session."""
    found = []
    for name, of in times.items():
        row: dict[str, Any] = {"kind": "compute", "weights": weights, "cut": cut, "model": name, "tokens": of["wall"].size}
        for clock, values in of.items():
            beside = ratio(values, times[WHOLE][clock])
            row[f"{clock}_ms"] = 1e3 * float(np.median(values))
            row |= {f"{clock}_ratio": beside.value, f"{clock}_low": beside.low, f"{clock}_high": beside.high}
        found.append(row)
    return found
