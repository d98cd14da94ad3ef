"""What pictures are worth: top-1 of a trained network against bytes, and the picture that is as good as a split.

The teacher and the split are those of the headline's own split of clothing10; pictures go into that teacher as it is, and
into networks that were trained further, for a few epochs, on pictures compressed by the same codec. Made once and kept.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.headline import plan, predictions
from benchmarks.headline.codecs import Setting
from benchmarks.headline.photos import clothing
from benchmarks.headline.stages import CONTENDERS, Course
from benchmarks.headline.store import Stage, Store, with_needed
from benchmarks.papers.answered import ADAPTED_EPOCHS, Answered

Say = Callable[[str], None]
GRID = {
    "webp": {96: (10, 25, 45), 128: (1, 10, 25, 45), 160: (1, 10, 25)},
    "jpeg": {96: (20, 35, 50), 128: (10, 20, 35), 160: (10, 20)},
}
"""Sides and qualities, round the accuracy of splits of a few hundred bytes."""
SETTINGS = [
    Setting(codec, side, quality) for codec, sides in GRID.items() for side, qualities in sides.items() for quality in qualities
]
EPOCHS = 15.0
"""Of the split, as `make headline` trains it."""
EVERYTHING = 1_000_000
"""Bound of the one band that all sizes of a codec are in."""
POINT = "c6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a headline's folder holds of one split of the photos.

    Attributes:
        answered: unsplit network, split and pictures.
        bundle: of the split.
    """

    answered: Sequence[Answered]
    bundle: Path


def read(folder: Path, headline: Path, data: Path, *, say: Say) -> Trained | str:
    """Ask and train what is not there yet; in words why not, where teacher and split are not there."""
    kept = folder / "answered.json"
    store = Store(folder / "trained")
    if not kept.exists():
        if not (data / "clothing10").is_dir():
            return f"{data} has no folder clothing10; ISTHMUS_DATA names the folder"
        course = _course(data, EPOCHS)
        given = Store(headline / plan.FULL.name)
        needed = _own(course)
        missing = [stage.title for stage in needed if not (given.is_done(stage) or store.is_done(stage))]
        if missing:
            return f"{headline} lacks {', '.join(missing)}; make headline makes them"
        for stage in needed:
            if not store.is_done(stage):
                shutil.copytree(given.folder(stage), store.folder(stage), dirs_exist_ok=True)
        _make(store, course, say)
        kept.write_text(json.dumps([asdict(one) for one in _answers(store, course)], indent=1))
    found = [Answered(**row) for row in json.loads(kept.read_text())]
    (bundle,) = store.root.glob(f"*/point-{POINT}-*/bundle.isthmus")
    return Trained(answered=found, bundle=bundle)


def _course(data: Path, epochs: float) -> Course:
    from benchmarks.headline.__main__ import planned

    _, courses = planned(clothing(data), plan.FULL, 5, epochs, data)
    return courses[-1]


def _own(course: Course) -> list[Stage]:
    point = next(one for one in plan.FULL.points if one.name == POINT)
    return [course.teacher(), course.said(), course.point(point)]


def _rivals(course: Course) -> tuple[list[Stage], list[Stage]]:
    """Stages of pictures into the teacher, and into adapted networks."""
    rival = replace(course, scale=replace(plan.FULL, pictures=SETTINGS, bounds=(EVERYTHING,)), epochs=ADAPTED_EPOCHS)
    return [rival.sent(codec) for codec in GRID], [rival.adapted(codec, EVERYTHING) for codec in GRID]


def _make(store: Store, course: Course, say: Say) -> None:
    plain, adapted = _rivals(course)
    for stage in with_needed([*plain, *adapted]):
        if not store.is_done(stage):
            store.perform(stage, lambda part, words, title=stage.title: say(f"{title}: {part:.0%} {words}"))


def _answers(store: Store, course: Course) -> Iterable[Answered]:
    plain, adapted = _rivals(course)
    own = _own(course)
    for stage in (own[0], own[2], *plain, *adapted):
        for told in (store.facts(stage) or {})[CONTENDERS]:
            if told["variant"] == "int8":
                continue
            said = predictions.load(store.folder(stage) / told["file"]).part(course.split.reporting)
            right = said.logits.argmax(1) == course.photos.labels[course.split.reporting]
            yield Answered(
                name={"teacher": "unsplit", "isthmus": "split"}.get(told["family"], told["family"]),
                setting=told["setting"],
                network=told["variant"] if told["family"] in GRID else "",
                bytes_mean=float(np.mean(said.sizes)),
                right=int(right.sum()),
                photos=len(right),
            )
