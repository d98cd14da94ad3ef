"""The stages of the headline: for each split of the photos a teacher, then every contender, trained and asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.headline import bundles, codecs, fitting, onnx_files, sending
from benchmarks.headline.fitting import Fit
from benchmarks.headline.folds import OFFICIAL
from benchmarks.headline.material import Material
from benchmarks.headline.plan import CUT, POINT_TIMES, TEACHER_VIEWS, Local, Point
from benchmarks.headline.predictions import Predictions, ask
from benchmarks.headline.statistics import divergence
from benchmarks.headline.store import Stage, Work
from benchmarks.mobilenet import MobileNetV2, reduced

from isthmus.contract.prepare import Preparation
from isthmus.export.training import recipe as recipes

CONTENDERS = "contenders"
"""Of a stage's facts: what was asked, a list of `contender`."""

LOCAL_RATES = (2e-4, 8e-4)
"""Learning rates that are tried of each smaller network; the better one on photos to choose by is taken. A network that was cut
deep wants more than one that only sees less."""
PICTURES_RATE = 2e-4
"""Learning rate of networks for compressed pictures, which know the task already."""
PICTURES_FROZEN = 4
"""Blocks that keep their weights: gradients of the first ones, on the largest maps, take the most time."""
RECALLED = 300
"""About so many photos say how much of what was learned is known by heart."""


def contender(family: str, setting: str, variant: str, file: str, **facts: Any) -> dict[str, Any]:
    """A line of facts: whose predictions are in `file`.

    Args:
        family: `teacher`, `local`, `isthmus` and other recipes, `webp` and other codecs.
        setting: which one of them.
        variant: `float` or `int8` network or head; `plain` or `adapted` network behind pictures.
        file: of predictions, in the stage's folder.
        facts: whatever else is known of it.
    """
    return {"family": family, "setting": setting, "variant": variant, "file": file, **facts}


class Course(Material):
    """Makes the stages of one split of the photos."""

    def main(self) -> Iterator[Stage]:
        """The stages of the headline itself, the most telling first."""
        teacher, said = self.teacher(), self.said()
        yield teacher
        yield said
        sent = {codec: self.sent(codec) for codec in codecs.CODECS if self.pictures_by(codec)}
        yield from self._points(self.scale.points[:2])
        yield self.local(self.scale.locals[0])
        for codec, stage in sent.items():
            yield stage
            yield self.adapted(codec, self.scale.bounds[-1])
        yield from self._points(self.scale.points[2:])
        yield from (self.local(local) for local in self.scale.locals[1:])
        for codec in sent:
            yield from (self.adapted(codec, bound) for bound in self.scale.bounds[:-1])

    def _points(self, points: Sequence[Point]) -> Iterator[Stage]:
        for point in points:
            yield self.point(point)
            yield self.recalled(point)

    def seeded(self) -> Iterator[Stage]:
        """The released point with other seeds."""
        yield from (self.point(point) for point in self.scale.seeded)

    def recipes(self) -> Iterator[Stage]:
        """The other recipes."""
        yield from (self.point(point) for point in self.scale.recipes)

    # The stages one by one.

    def teacher(self) -> Stage:
        """The unsplit network, in floats and in 8 bits."""
        fit = self.scale.teacher
        settings = {"fit": asdict(fit), "side": self.scale.side, "photos": self.photos.origin, "split": self.digest}

        def work(work: Work) -> Mapping[str, Any]:
            torch.manual_seed(fit.seed)
            network = self.begun()
            lesson = replace(self.lesson(self.preparation()), views=TEACHER_VIEWS)
            facts = fitting.train(network, lesson, fit, work.folder / "checkpoint", work.tell)
            torch.save(network.state_dict(), work.folder / "weights.pt")
            made = self._asked(work, network, self.preparation(), "teacher", "whole")
            self.photos.write_folder(self.split.given, work.folder / "photos")
            return {**facts, CONTENDERS: made}

        return Stage(split=self.split.name, name="teacher", settings=settings, work=work)

    def said(self) -> Stage:
        """What the teacher says to every view: what all rivals are distilled from."""

        def work(work: Work) -> Mapping[str, Any]:
            model = work.store.folder(self.teacher()) / "float.onnx"
            lesson = self.lesson(self.preparation())
            np.save(work.folder / "targets.npy", fitting.targets(model, lesson, lambda part: work.tell(part, "views")))
            return {}

        settings = {"views": fitting.views().model_dump()}
        return Stage(split=self.split.name, name="views", settings=settings, needs=(self.teacher(),), work=work)

    def point(self, point: Point) -> Stage:
        """A bottleneck with its shipped heads."""
        epochs = POINT_TIMES * self.epochs

        def work(work: Work) -> Mapping[str, Any]:
            teacher = work.store.folder(self.teacher())
            path = work.folder / bundles.FILE
            bundle = bundles.make(teacher / "float.onnx", teacher / "photos", point, epochs, path, work.tell)
            made = []
            for variant, file in bundles.heads(path):
                ends = bundles.Ends.of(path, file)
                for index, one in enumerate(bundle.manifest.points):
                    logits, sizes = bundles.ask(ends, self.judged(), index, lambda part: work.tell(part, "asking"))
                    kept = f"{variant}-{one.name}.npz"
                    Predictions(photos=self.judged_photos(), logits=logits, sizes=sizes).save(work.folder / kept)
                    setting = f"{point.name} {one.name}" if index else point.name
                    made.append(contender(point.recipe, setting, variant, kept, seed=point.seed, head=file, point=index))
            manifest = bundle.manifest
            mmac = {"mmac": manifest.head.flops / 2e6, "whole_mmac": manifest.whole.flops / 2e6}
            return {CONTENDERS: made, "shipped": made[0]["variant"], **mmac}

        recipe = recipes.load(point.recipe).model_dump(mode="json")
        settings = {"point": asdict(point), "recipe": recipe, "cut": CUT, "epochs": epochs}
        return Stage(split=self.split.name, name=f"point {point.title}", settings=settings, needs=(self.teacher(),), work=work)

    def recalled(self, point: Point) -> Stage:
        """How far a bottleneck is from the teacher on photos that it has learned from: what it knows by heart."""
        made = self.point(point)

        def work(work: Work) -> Mapping[str, Any]:
            photos = self.photos.pictures(self.split.learning[:: max(1, len(self.split.learning) // RECALLED)])
            wanted = ask(work.store.folder(self.teacher()) / "float.onnx", photos, self.preparation())
            path = work.store.folder(made) / bundles.FILE
            ends = bundles.Ends.of(path, bundles.heads(path)[0][1])
            said, _sizes = bundles.ask(ends, photos, 0, lambda part: work.tell(part, "asking"))
            return {"photos": len(photos), "divergence": float(divergence(wanted, said).mean())}

        return Stage(split=self.split.name, name=f"recalled {point.title}", settings={}, needs=(made,), work=work)

    def local(self, local: Local) -> Stage:
        """A smaller network for the device alone, distilled from the teacher."""
        fits = [Fit(epochs=self.epochs, learning_rate=rate, batch=self.scale.batch) for rate in LOCAL_RATES]
        settings = {"local": asdict(local), "fits": [asdict(fit) for fit in fits]}

        def work(work: Work) -> Mapping[str, Any]:
            shown = self.preparation(local.side)
            tried = []
            for number, fit in enumerate(fits):
                torch.manual_seed(fit.seed)
                network = reduced(self._taught(work), width=local.width, blocks=local.blocks)
                checkpoint = work.folder / f"checkpoint-{number}"
                facts = fitting.train(network, self.lesson(shown, self._said(work)), fit, checkpoint, work.tell)
                tried.append((self.chance_of_truth(network, shown), number, network, facts))
            best, number, network, facts = max(tried, key=lambda one: one[:2])
            facts = {**facts, "learning_rate": fits[number].learning_rate, "chance_of_truth": best}
            return {**facts, CONTENDERS: self._asked(work, network, shown, "local", local.name)}

        return Stage(split=self.split.name, name=f"local {local.name}", settings=settings, needs=self._taught_by, work=work)

    def sent(self, codec: str) -> Stage:
        """Compressed pictures into the teacher as it is."""
        settings = {"pictures": [str(one) for one in self.pictures_by(codec)], "side": self.scale.side}

        def work(work: Work) -> Mapping[str, Any]:
            model = work.store.folder(self.teacher()) / "float.onnx"
            made = []
            few = self.split.learning[:: max(1, len(self.split.learning) // sending.MEASURED)]
            small = sending.fitted(self.photos.pictures(few), self.preparation())
            for place, setting in enumerate(self.pictures_by(codec)):
                work.tell(place / len(self.pictures_by(codec)), str(setting))
                file = f"{setting.side}px-q{setting.quality}.npz"
                sending.keep(work.folder / f"sent-{file}", setting, self.judged(), self.preparation())
                if not (work.folder / file).exists():
                    self._received(model, setting, work.folder / f"sent-{file}", work.folder / file)
                bare = sending.read(work.folder / f"sent-{file}").bare_mean
                usual = float(np.mean([len(setting.encode(picture)) for picture in small]))
                made.append(contender(codec, f"{setting.side}px q{setting.quality}", "plain", file, bare=bare, usual=usual))
            return {CONTENDERS: made}

        return Stage(split=self.split.name, name=f"sent {codec}", settings=settings, needs=(self.teacher(),), work=work)

    def adapted(self, codec: str, bound: int) -> Stage:
        """Compressed pictures into a network that was trained along on pictures compressed by the same codec to about as much."""
        fit = Fit(epochs=self.epochs, learning_rate=PICTURES_RATE, frozen=PICTURES_FROZEN, batch=self.scale.batch)
        settings = {"fit": asdict(fit), "bounds": list(self.scale.bounds), "bound": bound}
        needs = (*self._taught_by, self.sent(codec))

        def work(work: Work) -> Mapping[str, Any]:
            facts = work.store.facts(self.sent(codec))
            assert facts is not None
            usual = [one["usual"] for one in facts[CONTENDERS]]
            band = codecs.band(self.pictures_by(codec), usual, self.scale.bounds, bound)
            if not band:
                return {CONTENDERS: []}
            torch.manual_seed(fit.seed)
            network = self._taught(work)
            lesson = self.lesson(self.preparation(), self._said(work), degrade=sending.Compressed(band))
            told = fitting.train(network, lesson, fit, work.folder / "checkpoint", work.tell)
            onnx_files.write_float(network, self.scale.side, work.folder / "float.onnx")
            made = []
            for setting in band:
                file = f"{setting.side}px-q{setting.quality}.npz"
                source = work.store.folder(self.sent(codec)) / f"sent-{file}"
                self._received(work.folder / "float.onnx", setting, source, work.folder / file)
                bare = sending.read(source).bare_mean
                made.append(contender(codec, f"{setting.side}px q{setting.quality}", "adapted", file, bare=bare))
            return {**told, CONTENDERS: made}

        return Stage(split=self.split.name, name=f"adapted {codec} {bound}", settings=settings, needs=needs, work=work)

    # What they share.

    @property
    def _taught_by(self) -> tuple[Stage, ...]:
        return (self.teacher(), self.said())

    def _taught(self, work: Work) -> MobileNetV2:
        network = self.begun()
        network.load_state_dict(torch.load(work.store.folder(self.teacher()) / "weights.pt", weights_only=True))
        return network

    def _said(self, work: Work) -> np.ndarray:
        said: np.ndarray = np.load(work.store.folder(self.said()) / "targets.npy", allow_pickle=False)
        return said

    def _asked(self, work: Work, network: MobileNetV2, shown: Preparation, family: str, setting: str) -> list[dict[str, Any]]:
        """Write a network in floats and in 8 bits and ask both."""
        onnx_files.write_float(network, shown.width, work.folder / "float.onnx")
        few = self.photos.pictures(self.split.learning[:: max(1, len(self.split.learning) // onnx_files.CALIBRATION_PICTURES)])
        onnx_files.write_int8(work.folder / "float.onnx", few, shown, work.folder / "int8.onnx")
        made = []
        for variant in ("float", "int8"):
            model = work.folder / f"{variant}.onnx"
            logits = ask(model, self.judged(), shown, lambda part, variant=variant: work.tell(part, f"asking {variant}"))  # type: ignore[misc]
            photos = self.judged_photos()
            found = Predictions(photos=photos, logits=logits, sizes=np.zeros(len(photos), np.int64))
            found.save(work.folder / f"{variant}.npz")
            made.append(contender(family, setting, variant, f"{variant}.npz", model=model.name))
        return made

    def _received(self, model: Path, setting: codecs.Setting, source: Path, file: Path) -> None:
        sent = sending.read(source)
        arrived = [codecs.resized(picture, self.scale.side) for picture in sent.pictures()]
        logits = ask(model, arrived, self.preparation())
        Predictions(photos=self.judged_photos(), logits=logits, sizes=sent.sizes).save(file)


def order(courses: list[Course]) -> list[Stage]:
    """All stages: the folds' headline first, then other seeds and recipes, the collection's own split last."""
    own = [course for course in courses if course.split.name == OFFICIAL]
    folds = [course for course in courses if course.split.name != OFFICIAL]
    found = [stage for course in folds for stage in course.main()]
    found += [stage for course in folds[:1] for stage in course.seeded()]
    found += [stage for course in folds for stage in course.recipes()]
    found += [stage for course in own for stage in (*course.main(), *course.seeded())]
    return found
