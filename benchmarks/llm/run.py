"""The parts of the benchmark, one after the other, each with the load of the machine when it began."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.llm import agreement, compute, links, models, outages, together
from benchmarks.llm.links import Size
from benchmarks.llm.models import Say, Shape
from benchmarks.llm.targets import Row

from isthmus.bench.language import demo
from isthmus.contract.bundle import LanguageBundle
from isthmus.export.language.settings import LanguageSettings, Layout, Weights

PARTS = ("compute", "agreement", "together", "links", "outages")
TEXT = Path("text/tinystories_sample.txt")
TRAINED = {
    "shakespeare": "shakespeare (`isthmus demo --llm`), 2.4 million parameters in 4 layers of 256 channels",
    "stories260k": "stories260k (llama2.c), 260,000 parameters in 5 layers of 64 channels, trained on TinyStories",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Attributes:
        shape: of the model with random weights.
        positions: its longest sequence.
        precisions: weights of it, for compute and for many conversations.
        cuts: layers of the head; the first one is that of compute.
        last: layers at the end of the sandwich; 0: none.
        trained_cuts: of the trained models by name.
        rounds, tokens: of compute.
        together_rounds, together_tokens: of many conversations.
        link_weights: of everything over links.
        size: of those.
        troubles: killed servers and cut links, of the same weights.
    """

    shape: Shape = field(default_factory=Shape)
    positions: int = 1024
    precisions: tuple[Weights, ...] = ("float32", "int8")
    cuts: tuple[int, ...] = (4, 8)
    last: int = 1
    trained_cuts: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"shakespeare": (1, 2, 3), "stories260k": (1, 2, 3, 4)}
    )
    rounds: int = 10
    tokens: int = 24
    together_rounds: int = 5
    together_tokens: int = 24
    link_weights: Weights = "int8"
    size: Size = field(default_factory=Size)
    troubles: outages.Size = field(default_factory=outages.Size)


FULL = Plan()
QUICK = Plan(
    shape=Shape(name="a tiny Llama", layers=4, width=64, heads=2, key_value_heads=1, head=32, vocabulary=256),
    positions=128,
    precisions=("float32",),
    cuts=(1,),
    last=0,
    trained_cuts={"shakespeare": (2,)},
    rounds=2,
    tokens=4,
    together_rounds=1,
    together_tokens=4,
    link_weights="float32",
    size=Size(prompt=8, tokens=4, links=["10mbit/5ms"]),
    troubles=outages.Size(prompt=8, tokens=8, trouble=3, rounds=1),
)


class Bench:
    """One run.

    Args:
        plan: how much.
        work: where bundles are kept; made.
        say: told what is done.
    """

    def __init__(self, plan: Plan, work: Path, say: Say) -> None:
        self._plan = plan
        self._work = work
        self._say = say
        work.mkdir(parents=True, exist_ok=True)
        shape = plan.shape
        self._folder = models.write_random(work / f"random-{shape.parameters}", shape)
        told = f"{shape.name}: {shape.layers} layers of {shape.width} channels, {shape.vocabulary:,} tokens"
        noise = "random weights, for speed, bytes and memory alone"
        self.facts: dict[str, Any] = {
            "models": "\n".join(
                [
                    f"- {told}, {shape.parameters:,} parameters, {noise}.",
                    *(f"- {TRAINED[name]}, for agreement." for name in plan.trained_cuts),
                ]
            ),
        }
        """For the page: the models, and of each part how much was measured and the load at its begin."""

    def run(self, parts: Sequence[str]) -> list[Row]:
        """Rows of all parts in order."""
        of = {
            "compute": self._compute,
            "agreement": self._agreement,
            "together": self._together,
            "links": self._links,
            "outages": self._outages,
        }
        found = []
        for name in parts:
            self._say(name)
            found += of[name]()
        return found

    def _bundle(self, weights: Weights, cut: str, layout: Layout = "head-tail", *, has_local: bool = True) -> LanguageBundle:
        precision = {"head_weights": weights, "tail_weights": weights, "local": weights if has_local else None}
        settings = LanguageSettings(cut=cut, layout=layout, positions=self._plan.positions, **precision)  # type: ignore[arg-type]
        return models.bundle_of(self._folder, self._work, settings, say=self._say)

    def _begin(self, name: str, **facts: object) -> None:
        self.facts[name] = {**facts, "load": f"{os.getloadavg()[0]:.1f}"}

    def _compute(self) -> list[Row]:
        plan = self._plan
        bundles = {weights: self._bundle(weights, str(plan.cuts[0])) for weights in plan.precisions}
        self._begin("compute", rounds=plan.rounds)
        found = []
        for weights, bundle in bundles.items():
            self._say(f"compute: {weights}")
            contenders = compute.of_bundles(bundle, self._folder if weights == "float32" else None)
            times = compute.measure(contenders, plan.shape.vocabulary, rounds=plan.rounds, tokens=plan.tokens)
            found += [row | {"parameters": plan.shape.parameters} for row in compute.rows(weights, plan.cuts[0], times)]
        return found + compute.packing(next(iter(bundles.values())), repeats=plan.rounds * plan.tokens)

    def _agreement(self) -> list[Row]:
        found: list[Row] = []
        for name, cuts in self._plan.trained_cuts.items():
            folder, text = self._trained(name)
            if folder is None or not text.is_file():
                found.append({"kind": "skipped", "why": f"agreement: ISTHMUS_DATA has not the model or the text of {name}"})
            else:
                found += agreement.measure(folder, text, self._work, name=name, cuts=cuts, say=self._say)
        return found

    def _trained(self, name: str) -> tuple[Path | None, Path]:
        """Folder of a trained model, and a text that it was not trained on."""
        if name == "shakespeare":
            return demo.model_folder(), models.held_out_plays(self._work / "held_out.txt")
        return models.convert_trained(self._work / name), models.DATA / TEXT

    def _together(self) -> list[Row]:
        plan = self._plan
        bundles = [self._bundle(weights, str(plan.cuts[0])) for weights in plan.precisions]
        self._begin("together", rounds=plan.together_rounds)
        found = []
        for bundle in bundles:
            self._say(f"together: {bundle.manifest.tail.weights}")
            found += together.measure(bundle, rounds=plan.together_rounds, tokens=plan.together_tokens)
        return found

    def _links(self) -> list[Row]:
        plan, weights = self._plan, self._plan.link_weights
        cuts = [self._bundle(weights, str(cut)) for cut in plan.cuts]
        sandwich = self._bundle(weights, f"{plan.cuts[0]}+{plan.last}", "sandwich") if plan.last else None
        size = plan.size
        self._begin("links", weights=weights, prompt=size.prompt, tokens=size.tokens, rounds=size.rounds)
        return links.medians(links.measure(links.placements(cuts, sandwich, self._folder), size, say=self._say))

    def _outages(self) -> list[Row]:
        weights, cut, size = self._plan.link_weights, str(self._plan.cuts[0]), self._plan.troubles
        # Rows that go through together are rounded otherwise than single ones where weights are quantised.
        precisions = dict.fromkeys(("float32", weights))
        pairs = [(outages.ALONE, self._bundle(weights, cut))]
        pairs += [(outages.SECOND, self._bundle(one, cut, has_local=False)) for one in precisions]
        self._begin("outages", prompt=size.prompt, trouble=size.trouble, rounds=size.rounds, link=outages.LINK)
        return outages.measure(pairs, size, say=self._say)
