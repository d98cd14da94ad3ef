"""From the folder of results to one record for each contender, over all folds in which it has been asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.headline import predictions, statistics, timing
from benchmarks.headline.folds import OFFICIAL
from benchmarks.headline.plan import RELEASED_BYTES_MAX, Scale
from benchmarks.headline.stages import CONTENDERS, Course
from benchmarks.headline.statistics import Interval
from benchmarks.headline.store import Stage, Store
from benchmarks.headline.timing import Times

from isthmus.contract.metric import Metric, proportion

RECIPES = ("isthmus", "bottlefit", "entropic", "ghnd", "hnd")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """What one contender did on the left-out photos of one split.

    Attributes:
        correct, teacher: float[n], 1 where it, and the teacher in floats, was right.
        divergence: float[n] nats from the teacher.
        sizes: int64[n] bytes.
        choosing: share of right answers and mean bytes on the photos to choose by.
        bare: mean bytes of pictures without their containers; None of anything else.
    """

    correct: np.ndarray
    teacher: np.ndarray
    divergence: np.ndarray
    sizes: np.ndarray
    choosing: tuple[float, float]
    bare: float | None


@dataclass(kw_only=True, eq=False)
class Result:
    """One contender.

    Attributes:
        family, setting, variant: see `stages.contender`.
        seed: of its training.
        is_shipped: of a point, whether a device runs this head.
        mmac: million multiply-adds of a point's head, else None.
        recalled: nats from the teacher on photos that a point has learned from, one for each fold that has been asked.
        folds: what it did, by name of the split.
    """

    family: str
    setting: str
    variant: str
    seed: int = 0
    is_shipped: bool = True
    mmac: float | None = None
    recalled: list[float] = field(default_factory=list)
    folds: dict[str, Fold] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its name in `times.json`."""
        return f"{self.family} {self.setting} {self.variant}"

    def on(self, names: Iterable[str]) -> "Result":
        """The same on some of the splits."""
        return Result(
            family=self.family,
            setting=self.setting,
            variant=self.variant,
            seed=self.seed,
            is_shipped=self.is_shipped,
            mmac=self.mmac,
            recalled=self.recalled,
            folds={name: self.folds[name] for name in names if name in self.folds},
        )

    @cached_property
    def accuracy(self) -> Metric:
        """Top-1 with Wilson's interval, over all left-out photos."""
        right = np.concatenate([fold.correct for fold in self.folds.values()])
        return proportion("top-1", int(right.sum()), len(right))

    @cached_property
    def behind(self) -> Interval:
        """By how much the teacher is better, in pairs."""
        return statistics.paired([fold.teacher - fold.correct for fold in self.folds.values()])

    @property
    def divergence(self) -> float:
        """Mean, from the teacher, nats."""
        return float(np.concatenate([fold.divergence for fold in self.folds.values()]).mean())

    @property
    def bytes_mean(self) -> float:
        """Of a photo."""
        return float(np.concatenate([fold.sizes for fold in self.folds.values()]).mean())

    @property
    def bare_mean(self) -> float:
        """Bytes without containers, where there are such."""
        found = [fold.bare for fold in self.folds.values() if fold.bare is not None]
        return float(np.mean(found)) if found else self.bytes_mean

    @property
    def choosing(self) -> tuple[float, float]:
        """Share of right answers and bytes on the photos to choose by, mean of the folds."""
        shares, sizes = zip(*(fold.choosing for fold in self.folds.values()), strict=True)
        return float(np.mean(shares)), float(np.mean(sizes))

    def above(self, other: "Result") -> Interval | None:
        """By how much it is better than another contender, in pairs, on the splits that both have."""
        common = [name for name in self.folds if name in other.folds]
        if not common:
            return None
        return statistics.paired([self.folds[name].correct - other.folds[name].correct for name in common])


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """All that is known.

    Attributes:
        scale: what was to be made.
        epochs: of each training.
        photos: where they are from.
        folds: number of them.
        results: over the folds; while there are none, on the collection's own split.
        official: on the collection's own split.
        times: device times by name.
        stages: (done, all) by name of the split.
    """

    scale: Scale
    epochs: float
    photos: str
    folds: int
    results: Sequence[Result]
    official: Sequence[Result]
    times: Mapping[str, Times]
    stages: Mapping[str, tuple[int, int]]

    def family(self, name: str, *variants: str, seeds: bool = False) -> list[Result]:
        """Contenders of a family; of a point's heads the one that is shipped."""
        return [
            one
            for one in self.results
            if one.family == name
            and (not variants or one.variant in variants)
            and (name not in RECIPES or one.is_shipped)
            and (seeds or one.seed == 0)
        ]

    @property
    def is_of_folds(self) -> bool:
        """Whether the results are of folds."""
        return any(name != OFFICIAL for one in self.results for name in one.folds)

    @property
    def teacher(self) -> Result | None:
        """The unsplit network in floats."""
        return next((one for one in self.results if one.family == "teacher" and one.variant == "float"), None)

    @property
    def released(self) -> Result | None:
        """Of the points of few enough bytes the best, both on photos to choose by."""
        small = [one for one in self.family("isthmus") if one.choosing[1] <= RELEASED_BYTES_MAX]
        return max(small, key=lambda one: one.choosing, default=None)

    def device_ms(self, result: Result) -> float | None:
        """Median of what a contender takes on the device: head and codec, network, or encoder of pictures."""
        if result.family in RECIPES:
            parts = [f"{result.key} head", f"{result.key} codec"]
        elif result.family in ("teacher", "local"):
            parts = [result.key]
        else:
            parts = [f"{result.family} {result.setting} encode"]
        if any(part not in self.times for part in parts):
            return None
        return sum(self.times[part].median for part in parts)


def gather(store: Store, courses: Sequence[Course], *, time_anew: bool) -> Found:
    """Read all results that there are under the present settings.

    Args:
        store: of the results.
        courses: one for each split of the photos.
        time_anew: measure device times if there are contenders that have none.
    """
    on_folds: dict[str, Result] = {}
    on_official: dict[str, Result] = {}
    stages: dict[str, tuple[int, int]] = {}
    for course in courses:
        name = course.split.name
        own = [*course.main(), *course.recipes()] if name != OFFICIAL else list(course.main())
        own += list(course.seeded()) if name in ("fold0", OFFICIAL) else []
        stages[name] = sum(map(store.is_done, own)), len(own)
        _collect(store, course, own, on_official if name == OFFICIAL else on_folds)
        _recall(store, course, on_official if name == OFFICIAL else on_folds)
    times = timing.of(store, courses, anew=time_anew)
    first = courses[0]
    return Found(
        scale=first.scale,
        epochs=first.epochs,
        photos=first.photos.origin,
        folds=len(courses) - 1,
        results=list((on_folds or on_official).values()),
        official=list(on_official.values()),
        times=times,
        stages=stages,
    )


def _collect(store: Store, course: Course, stages: Sequence[Stage], into: dict[str, Result]) -> None:
    teacher = store.folder(course.teacher()) / "float.npz"
    if not teacher.exists() or not store.is_done(course.teacher()):
        return
    wanted = predictions.load(teacher)
    for stage in stages:
        facts = store.facts(stage)
        for told in (facts or {}).get(CONTENDERS, []):
            name = f"{told['family']} {told['setting']} {told['variant']}"
            result = into.setdefault(name, _result(told, facts or {}))
            result.folds[course.split.name] = _fold(course, wanted, store.folder(stage) / told["file"], told.get("bare"))


def _recall(store: Store, course: Course, into: dict[str, Result]) -> None:
    for point in course.scale.points:
        facts = store.facts(course.recalled(point))
        for one in into.values() if facts else ():
            if (one.family, one.setting, one.seed) == (point.recipe, point.name, point.seed):
                one.recalled.append(facts["divergence"])


def _result(told: Mapping[str, Any], facts: Mapping[str, Any]) -> Result:
    return Result(
        family=told["family"],
        setting=told["setting"],
        variant=told["variant"],
        seed=told.get("seed", 0),
        is_shipped=facts.get("shipped", told["variant"]) == told["variant"],
        mmac=facts.get("mmac"),
    )


def _fold(course: Course, teacher: predictions.Predictions, file: Path, bare: float | None) -> Fold:
    said = predictions.load(file)
    reported, chosen = said.part(course.split.reporting), said.part(course.split.choosing)
    wanted = teacher.part(course.split.reporting)
    labels = course.photos.labels
    return Fold(
        correct=statistics.correct(reported.logits, labels[course.split.reporting]),
        teacher=statistics.correct(wanted.logits, labels[course.split.reporting]),
        divergence=statistics.divergence(wanted.logits, reported.logits),
        sizes=reported.sizes,
        choosing=(
            float(statistics.correct(chosen.logits, labels[course.split.choosing]).mean()),
            float(chosen.sizes.mean()),
        ),
        bare=bare,
    )
