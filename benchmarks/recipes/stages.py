"""The stages: the unsplit network, then every training, asked about photos that nothing has learned from."""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.headline import bundles
from benchmarks.headline.predictions import Predictions, ask
from benchmarks.headline.stages import CONTENDERS, contender
from benchmarks.headline.store import Stage, Work
from benchmarks.recipes import photos
from benchmarks.recipes.plan import Point, Scale

from isthmus.contract.bundle import open_bundle
from isthmus.devices.golden import HEAD
from isthmus.errors import ConfigError, Diverged
from isthmus.export import preprocessing
from isthmus.export.cutting import cuts
from isthmus.export.doors.factory import function_of
from isthmus.export.doors.opening import open_model
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.graph import cost, weights
from isthmus.export.samples import Samples
from isthmus.export.training import recipe as recipes
from isthmus.export.training.distill import Progress, TrainingSettings
from isthmus.export.training.recipe import Recipe

ALL = "all"
NETWORK, DATA = "network.onnx", "photos.npz"
PRESET = "imagenet"
DIVERGED = "diverged"
"""Fact of a stage whose training went nowhere: which one it was, and what was said."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """What is compared.

    Attributes:
        scale: what is trained.
        learning, reporting: photos.
    """

    scale: Scale
    learning: Samples
    reporting: Samples

    @classmethod
    def of(cls, scale: Scale, own: Sequence[str] = ()) -> "Trial":
        """With recipes of a user before those of the scale: what fails in them shall fail at once.

        Raises:
            UsageError: there is no such recipe, or a function that it names does not exist.
            ConfigError: it is no recipe, or has the name of one that comes with Isthmus.
        """
        points = (*map(_own, own), *scale.points)
        learning, reporting = photos.read(scale)
        return cls(scale=replace(scale, points=points), learning=learning, reporting=reporting)

    def stages(self) -> list[Stage]:
        """All of them, in order."""
        return [self.unsplit(), *map(self.trained, self.scale.points)]

    def unsplit(self) -> Stage:
        """The network as it is."""

        def work(work: Work) -> Mapping[str, Any]:
            model = open_model(self.scale.network).model
            weights.save(model, work.folder / NETWORK)
            photos.write(self.learning, str(work.folder / DATA))
            side = self.scale.shape[-1] * 2
            shown = preprocessing.PRESETS[PRESET].model_copy(update={"width": side, "height": side})
            said = ask(work.folder / NETWORK, self.reporting.pictures, shown, lambda part: work.tell(part, "asking"))
            self._save(work, "unsplit.npz", said, np.zeros(len(said), np.int64))
            cut = [one for one in cuts.enumerate(model) if one.is_single and one.shapes[0][1:] == self.scale.shape][-1]
            macs = cost.of_graph(model.graph).flops / 2
            line = contender("unsplit", "whole", "float", "unsplit.npz", share=1.0, mmac=macs / 1e6)
            return {CONTENDERS: [line], "cut": cut.tensors[0]}

        told = {name: getattr(self.scale, name) for name in ("network", "shape", "learning", "reporting")}
        return Stage(split=ALL, name="unsplit", settings={**told, "photos": self.learning.origin}, work=work)

    def trained(self, point: Point) -> Stage:
        """A bottleneck by one recipe."""
        recipe = point.resolved

        def work(work: Work) -> Mapping[str, Any]:
            before, path = work.store.folder(self.unsplit()), work.folder / bundles.FILE
            facts = work.store.facts(self.unsplit())
            assert facts is not None
            settings = ExportSettings(
                cut=facts["cut"],
                channels=point.channels,
                data=before / DATA,
                preprocess=PRESET,
                training=TrainingSettings(
                    recipe=recipe.model_copy(update={"epochs": self.scale.epochs}), rate_weight=point.rate_weight
                ),
                int8="off",
                resume=path.with_suffix(".checkpoint").exists(),
            )

            def show(progress: Progress) -> None:
                work.tell(progress.step / max(1, progress.steps), f"{progress.stage} {progress.step} of {progress.steps}")

            try:
                made = export(
                    str(before / NETWORK), path, settings, on_step=lambda words: work.tell(0.0, words), on_progress=show
                )
            except Diverged as error:
                return {DIVERGED: f"{recipe.name}, {point.setting}: {error}"}
            if made.learned is None or made.learned.interrupted:
                path.unlink(missing_ok=True)
                raise KeyboardInterrupt
            manifest = open_bundle(path).manifest
            ends = bundles.Ends.of(path, HEAD)
            said, sizes = bundles.ask(ends, self.reporting.pictures, 0, lambda part: work.tell(part, "asking"))
            self._save(work, "said.npz", said, sizes)
            head = manifest.head.flops
            told = {"share": head / manifest.whole.flops, "mmac": head / 2e6, "steps": made.learned.steps}
            return {CONTENDERS: [contender(recipe.name, point.setting, "float", "said.npz", **told)]}

        asked = {"channels": point.channels, "rate_weight": point.rate_weight, "epochs": self.scale.epochs}
        settings = {**asked, "recipe": recipe.model_dump(mode="json"), **_code(recipe)}
        mark = hashlib.sha256(point.recipe.encode()).hexdigest()[:4] if point.recipe not in recipes.names() else ""
        name = " ".join(filter(None, (recipe.name, mark, point.setting)))
        return Stage(split=ALL, name=name, settings=settings, needs=(self.unsplit(),), work=work)

    def _save(self, work: Work, file: str, said: np.ndarray, sizes: np.ndarray) -> None:
        Predictions(photos=np.arange(len(said)), logits=said, sizes=sizes).save(work.folder / file)


def _own(reference: str) -> Point:
    recipe = recipes.load(reference)
    if recipe.name in recipes.names() and reference != recipe.name:
        raise ConfigError(f"recipe {reference} is named {recipe.name}, as one that comes with Isthmus; give it another name")
    _code(recipe)
    return Point(recipe=reference)


def _code(recipe: Recipe) -> Mapping[str, Any]:
    """Digests of the files whose functions a recipe names, so that what is edited is trained anew; nothing where it has none."""
    named = [recipe.pair, *(stage.answers.own for stage in recipe.stages if stage.answers is not None)]
    files = {one: inspect.getsourcefile(function_of(one)) for one in named if ":" in one}
    digests = {one: hashlib.sha256(Path(file).read_bytes()).hexdigest() for one, file in files.items() if file}
    return {"code": digests} if digests else {}
