"""The part `melt`: a language model on the device alone, in several precisions, and beside it the split."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.llm import links, models
from benchmarks.llm.links import Placement, Size
from benchmarks.llm.models import Say, Shape
from benchmarks.llm.run import QUICK as TINY
from benchmarks.llm.run import TEXT, TRAINED
from benchmarks.papers.commands import json_of

from isthmus.contract.bundle import LanguageBundle
from isthmus.export.language.settings import LanguageSettings, Weights

WEIGHTS: tuple[Weights, ...] = ("float32", "int8", "int4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much.

    Attributes:
        shape: of the model with random weights.
        positions: its longest sequence.
        cut: layers of the head.
        prompt, tokens, rounds: of speed.
        sustained: weights that are run without a pause.
        seconds: how long.
        link_weights: over links.
        size: of conversations over links.
        quality: whether the trained model is asked.
    """

    shape: Shape = field(default_factory=Shape)
    positions: int = 1024
    cut: int = 4
    prompt: int = 128
    tokens: int = 64
    rounds: int = 3
    sustained: Weights = "int8"
    seconds: float = 120.0
    link_weights: Weights = "int8"
    size: Size = field(default_factory=lambda: Size(prompt=64, tokens=32, rounds=3, links=["1mbit/20ms", "10mbit/20ms"]))
    quality: bool = True


QUICK = Plan(
    shape=TINY.shape,
    positions=128,
    cut=1,
    prompt=16,
    tokens=8,
    rounds=1,
    seconds=0.5,
    link_weights="float32",
    size=Size(prompt=8, tokens=4, links=["10mbit/5ms"]),
    quality=False,
)


def run(plan: Plan, work: Path, *, say: Say) -> dict[str, Any]:
    """Measure; `speed`, `quality` and `links` are rows, `left_out` says in words what is not there."""
    work.mkdir(parents=True, exist_ok=True)
    folder = models.write_random(work / f"random-{plan.shape.parameters}", plan.shape)
    bundles = {weights: _bundle(folder, work, weights, plan, say) for weights in WEIGHTS}
    speed = []
    for weights, bundle in bundles.items():
        say(f"{weights}: alone")
        seconds = plan.seconds if weights == plan.sustained else 0.0
        speed.append({"weights": weights, "file_mb": _size(bundle), **_alone(bundle, plan, seconds)})
    quality = _quality(work, say) if plan.quality else "a quick run asks no trained model"
    return {
        "model": f"{plan.shape.name}, {plan.shape.parameters:,} parameters, random weights",
        "trained": TRAINED["stories260k"],
        "speed": speed,
        "quality": [] if isinstance(quality, str) else quality,
        "links": links.medians(links.measure(_placements(bundles[plan.link_weights]), plan.size, say=say)),
        "over_links": {"weights": plan.link_weights, "rounds": plan.size.rounds},
        "left_out": [f"Quality: {quality}."] if isinstance(quality, str) else [],
    }


def _bundle(folder: Path, work: Path, weights: Weights, plan: Plan, say: Say) -> LanguageBundle:
    settings = LanguageSettings(
        cut=str(plan.cut), positions=plan.positions, head_weights=weights, tail_weights=weights, local=weights
    )
    return models.bundle_of(folder, work, settings, say=say)


def _size(bundle: LanguageBundle) -> float:
    """MB of the model that the device runs alone, weights beside the graph included."""
    return sum(path.stat().st_size for path in bundle.path("local.onnx").parent.glob("local.onnx*")) / 1e6


def _alone(bundle: LanguageBundle, plan: Plan, seconds: float) -> dict[str, Any]:
    amount = ["--prompt", str(plan.prompt), "--tokens", str(plan.tokens), "--rounds", str(plan.rounds), "--seconds", str(seconds)]
    return json_of(["-m", "benchmarks.papers.alone", str(bundle.origin.resolve()), *amount])


def _quality(work: Path, say: Say) -> list[dict[str, Any]] | str:
    """Perplexity of the trained model by precision; in words why not."""
    folder, text = models.convert_trained(work / "stories260k"), models.DATA / TEXT
    if folder is None or not text.is_file():
        return f"{models.DATA} lacks lm_stories260k or {TEXT}; ISTHMUS_DATA names the folder"
    found = []
    for weights in WEIGHTS:
        place = work / f"quality-{weights}"
        place.mkdir(exist_ok=True)
        settings = LanguageSettings(cut="1", head_weights=weights, tail_weights=weights, local=weights, data=text)
        bundle = models.bundle_of(folder, place, settings, say=say)
        found += [{"weights": weights, **one.model_dump()} for one in bundle.manifest.fidelity if one.network == "local"]
    return found


def _placements(bundle: LanguageBundle) -> Sequence[Placement]:
    return [
        Placement(name="device alone", bundle=bundle, serves=False),
        Placement(name=f"split behind layer {bundle.manifest.cut}, int8", bundle=bundle, arguments=("--hidden", "int8")),
        Placement(name="token ids", bundle=bundle, arguments=("--layout", "tokens"), pictures="on"),
    ]
