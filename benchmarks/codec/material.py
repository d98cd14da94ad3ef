"""Codes of every bottleneck and what they are worth through the tail; made once and kept in a folder.

NAME.npz     train, test and one array for each film, int8 or uint8[frame, channel, row, column]
NAME.json    facts, scores of the exact codes, lossy planes by format and quality
NETWORK.films.json    H.265 of the films by rate factor and scale
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.codec import lossy
from benchmarks.codec.bottlenecks import PLANS, Made, Workbench, make

from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint

CODED = 800
"""Training photos whose codes tables are trained on."""
JUDGED = 100
"""Photos that lossy planes are judged on, and the exact codes beside them."""
H265_FRAMES = 60
"""Frames of a film that go through H.265, the first ones."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Codes of one bottleneck."""

    name: str
    tensor: CodeTensor
    train: np.ndarray
    test: np.ndarray
    films: dict[str, np.ndarray]
    facts: dict[str, Any]

    @property
    def boundary(self) -> Boundary:
        """One tensor."""
        return Boundary(tensors=(self.tensor,))

    @property
    def points(self) -> list[OperatingPoint]:
        """One point with all channels."""
        return [OperatingPoint(name="full", channels=(self.tensor.channels,))]

    def symbols(self, codes: np.ndarray) -> np.ndarray:
        """Codes counted from the lowest one on, uint8."""
        return symbols_of(codes, self.tensor)


def symbols_of(codes: np.ndarray, tensor: CodeTensor) -> np.ndarray:
    """Codes counted from the lowest one on, uint8."""
    return (codes.astype(np.int16) - tensor.lowest).astype(np.uint8)


def prepare(folder: Path, names: list[str], *, say: Say) -> None:
    """Make what is not in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    benches: dict[str, Workbench] = {}
    for name in names:
        if (folder / f"{name}.npz").exists():
            continue
        network = PLANS[name].network
        bench = benches[network] = benches.get(network) or Workbench(network)
        _make_one(folder, name, bench, say)
    for network in dict.fromkeys(PLANS[name].network for name in names):
        path = folder / f"{network}.films.json"
        if not path.exists() and lossy.has_h265():
            bench = benches.get(network) or Workbench(network)
            path.write_text(json.dumps(_films(bench, say)))


def read(folder: Path, name: str) -> Material:
    """Read what `prepare` made."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    facts = json.loads((folder / f"{name}.json").read_text())
    train, test = arrays.pop("train"), arrays.pop("test")
    tensor = CodeTensor(name="codes", shape=train.shape[1:], bits=PLANS[name].bits, signed=train.dtype == np.int8)
    return Material(name=name, tensor=tensor, train=train, test=test, films=arrays, facts=facts)


def _make_one(folder: Path, name: str, bench: Workbench, say: Say) -> None:
    started = time.monotonic()
    say(f"{name}: training")
    made = make(PLANS[name], bench)
    say(f"{name}: codes, and answers through lossy planes")
    codes = {"train": made.codes(list(bench.train.pictures[:CODED])), "test": made.codes(list(bench.test.pictures))}
    codes |= {film: made.codes(frames) for film, frames in bench.films.items()}
    facts = {"steps": made.steps, **_scores(made, codes), "made in s": round(time.monotonic() - started)}
    (folder / f"{name}.json").write_text(json.dumps(facts))
    np.savez_compressed(folder / f"{name}.npz", **codes)
    say(f"{name}: score {facts['score']:.3f} of {facts['whole']:.3f} after {facts['steps']} steps")


def _scores(made: Made, codes: dict[str, np.ndarray]) -> dict[str, Any]:
    bench, (tensor,) = made.bench, made.coded.boundary.tensors
    score, wanted = bench.known.score, bench.wanted()
    few = symbols_of(codes["test"][:JUDGED], tensor)

    def of_symbols(symbols: np.ndarray) -> float:
        back = (symbols.astype(np.int16) + tensor.lowest).astype(codes["test"].dtype)
        return float(score(made.answers(back), wanted[: len(back)]).mean())

    return {
        "judged": bench.known.judged,
        "whole": float(score(bench.answers(list(bench.test.pictures)), wanted).mean()),
        "score": of_symbols(symbols_of(codes["test"], tensor)),
        "exact": of_symbols(few),
        "planes": lossy.planes(few, tensor.bits, of_symbols),
        "films": {
            film: float(score(made.answers(codes[film][:H265_FRAMES]), bench.answers(frames[:H265_FRAMES])).mean())
            for film, frames in bench.films.items()
        },
    }


def _films(bench: Workbench, say: Say) -> dict[str, list[dict[str, Any]]]:
    """H.265 of every film at about the network's input size; judged by the whole network's answers to the raw frames."""
    found = {}
    for film, frames in bench.films.items():
        say(f"H.265: {film}")
        size = _input_size(frames[0], bench)
        # The raw frames of that size are what the device's camera would give to either side.
        raw = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames[:H265_FRAMES]]
        wanted = bench.answers(raw)

        def score(decoded: list[np.ndarray], wanted: np.ndarray = wanted) -> float:
            return float(bench.known.score(bench.answers(decoded), wanted).mean())

        found[film] = lossy.film(raw, size, score)
    return found


def _input_size(frame: np.ndarray, bench: Workbench) -> tuple[int, int]:
    """Columns and rows that lose nothing the network would see; both sides as the network's input where it is stretched."""
    preparation = bench.known.preparation
    if preparation.fit == "stretch":
        return preparation.width, preparation.height
    scale = max(preparation.width / frame.shape[1], preparation.height / frame.shape[0])
    columns, rows = (max(2, round(side * scale / 2) * 2) for side in (frame.shape[1], frame.shape[0]))
    return columns, rows
