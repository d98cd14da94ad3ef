"""The stages: the unsplit network, then every training, asked about photos that nothing has learned from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from isthmus.export import preprocessing
from isthmus.export.cutting import cuts
from isthmus.export.doors.opening import open_model
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.graph import weights
from isthmus.export.samples import Samples
from isthmus.export.training import recipe as recipes
from isthmus.export.training.distill import Progress, TrainingSettings

ALL = "all"
NETWORK, DATA = "network.onnx", "photos.npz"
PRESET = "imagenet"


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
        """With recipes of a user behind those of the scale."""
        points = (*scale.points, *(Point(recipe=reference) for reference in own))
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
            return {CONTENDERS: [contender("unsplit", "whole", "float", "unsplit.npz", share=1.0)], "cut": cut.tensors[0]}

        told = {name: getattr(self.scale, name) for name in ("network", "shape", "learning", "reporting")}
        return Stage(split=ALL, name="unsplit", settings={**told, "photos": self.learning.origin}, work=work)

    def trained(self, point: Point) -> Stage:
        """A bottleneck by one recipe."""
        recipe = recipes.load(point.recipe)

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

            made = export(str(before / NETWORK), path, settings, on_step=lambda words: work.tell(0.0, words), on_progress=show)
            if made.learned is None or made.learned.interrupted:
                path.unlink(missing_ok=True)
                raise KeyboardInterrupt
            manifest = open_bundle(path).manifest
            ends = bundles.Ends.of(path, HEAD)
            said, sizes = bundles.ask(ends, self.reporting.pictures, 0, lambda part: work.tell(part, "asking"))
            self._save(work, "said.npz", said, sizes)
            share = manifest.head.flops / manifest.whole.flops
            told = contender(recipe.name, point.setting, "float", "said.npz", share=share, steps=made.learned.steps)
            return {CONTENDERS: [told]}

        settings = {**asdict(point), "recipe": recipe.model_dump(mode="json"), "epochs": self.scale.epochs}
        mark = hashlib.sha256(point.recipe.encode()).hexdigest()[:4] if point.recipe not in recipes.names() else ""
        name = " ".join(filter(None, (recipe.name, mark, point.setting)))
        return Stage(split=ALL, name=name, settings=settings, needs=(self.unsplit(),), work=work)

    def _save(self, work: Work, file: str, said: np.ndarray, sizes: np.ndarray) -> None:
        Predictions(photos=np.arange(len(said)), logits=said, sizes=sizes).save(work.folder / file)
