"""The headline: accuracy against bytes and against device time, beside every rival, by cross-validation.

    make headline                                       all of it: an evening for each fold on two cores
    python -m benchmarks.headline --folds 5             the same; Ctrl-C ends it, and the same command goes on
    python -m benchmarks.headline --only 'fold0 point*' those stages and what they need
    python -m benchmarks.headline --page                nothing is trained; page and plots from what there is
    python -m benchmarks.headline --quick               everything tiny on drawn pictures, in minutes: does it work?

Every photo is left out once: of K folds K-1 teach the teacher, the bottlenecks and all rivals, and help to choose; the left-out
one is reported on. What was made is kept in the folder and not made again while its settings stay; remove a stage's folder to
have it made anew. docs/headline.md and its plots say how far it has come.
"""

import argparse
import fnmatch
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.headline import page, plan
from benchmarks.headline.folds import splits
from benchmarks.headline.gathering import gather
from benchmarks.headline.photos import Photos, clothing, drawn
from benchmarks.headline.plan import Scale
from benchmarks.headline.stages import Course, order
from benchmarks.headline.store import Stage, Store, with_needed

from isthmus.codec.predictive import IS_FAST

INTERRUPTED = 130
EPOCHS, QUICK_EPOCHS = 15.0, 8.0
FOLDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    scale = plan.QUICK if options.quick else plan.FULL
    photos, data = _photos(options.quick)
    store = Store(options.folder / scale.name)
    epochs = options.budget or (QUICK_EPOCHS if options.quick else EPOCHS)
    stages, courses = planned(photos, scale, options.folds, epochs, data)
    if options.list:
        print("\n".join(f"{'done' if store.is_done(stage) else '':5}{stage.title}" for stage in stages))
        return 0
    globs = options.only or (["fold0 *"] if options.quick else ["*"])
    _end_softly()
    wanted = [] if options.page else [one for one in stages if any(fnmatch.fnmatch(one.title, glob) for glob in globs)]
    if wanted and not IS_FAST:
        raise SystemExit("the codec's C core is not built; install isthmus where there is a C compiler")
    code = perform(store, with_needed(wanted))
    docs = options.docs or (store.root if options.quick else Path("docs"))
    docs.mkdir(parents=True, exist_ok=True)
    found = gather(store, courses, time_anew=code == 0)
    print(f"written: {page.write(docs, found)}")
    return code


def _end_softly() -> None:
    """Let SIGTERM, and SIGINT where a shell in the background turned it off, end a run as Ctrl-C does: between two steps."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))


def planned(photos: Photos, scale: Scale, folds: int, epochs: float, data: Path | None) -> tuple[list[Stage], list[Course]]:
    """All stages in order, and the splits of the photos that they belong to."""
    courses = [
        Course(photos=photos, split=split, scale=scale, epochs=epochs, data=data)
        for split in splits(photos.labels, photos.official, folds)
    ]
    return order(courses), courses


def perform(store: Store, stages: Sequence[Stage]) -> int:
    """Do what is not done; 130 after Ctrl-C."""
    for number, stage in enumerate(stages, 1):
        if store.is_done(stage):
            continue
        place = f"[{number}/{len(stages)}] {stage.title}"
        _say(f"{place}: begins; {_left(store, stages)}")
        try:
            store.perform(stage, _Told(place))
        except KeyboardInterrupt:
            _say(f"{place}: interrupted; the same command goes on from here")
            return INTERRUPTED
    return 0


class _Told:
    """Prints how far a stage is and how long it will take: now and then, or in one line where somebody looks."""

    EVERY_S = 30.0

    def __init__(self, place: str) -> None:
        self._place = place
        self._started = self._told = time.monotonic()
        self._at_start: float | None = None

    def __call__(self, part: float, words: str) -> None:
        now = time.monotonic()
        if part <= 0 or self._at_start is None or part < self._at_start:
            # A new leg, or one that goes on from a checkpoint.
            self._at_start, self._started = max(part, 0.0), now
        if now - self._told < (1.0 if sys.stderr.isatty() else self.EVERY_S):
            return
        self._told = now
        done = part - self._at_start
        left = f", {_duration((now - self._started) / done * (1 - part))} left" if done > 0 else ""
        line = f"{self._place}: {part:4.0%} {words}{left}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line[:110]}", end="", file=sys.stderr, flush=True)
        else:
            _say(line)


def _say(words: str) -> None:
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{clear}{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def _left(store: Store, stages: Sequence[Stage]) -> str:
    seconds, unknown = store.seconds_left(stages)
    known = f"about {_duration(seconds)} for what is left" if seconds else ""
    strange = f"{unknown} stages of unknown length" if unknown else ""
    return " and ".join(filter(None, (known, strange))) or "nothing else is left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _photos(quick: bool) -> tuple[Photos, Path | None]:
    if quick:
        return drawn(plan.QUICK_PHOTOS), None
    data = Path(os.environ.get("ISTHMUS_DATA", "../shared/data"))
    if not data.is_dir():
        raise SystemExit(f"there is no folder {data}; set ISTHMUS_DATA to where photos and weights are, or give --quick")
    return clothing(data), data


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.headline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/headline"), help="where results are kept")
    parser.add_argument("--docs", type=Path, help="where page and plots are written; docs, with --quick the folder")
    parser.add_argument("--folds", type=int, default=FOLDS, metavar="N", help=f"folds, {FOLDS} if not given")
    parser.add_argument(
        "--only", nargs="+", metavar="STAGE", help="stages by name, wildcards too, see --list; with --quick 'fold0 *'"
    )
    parser.add_argument(
        "--budget", type=float, metavar="EPOCHS", help=f"how often each training sees every photo, {EPOCHS:g} if not given"
    )
    parser.add_argument("--quick", action="store_true", help="tiny networks on drawn pictures")
    parser.add_argument("--page", action="store_true", help="train nothing")
    parser.add_argument("--list", action="store_true", help="say what stages there are and which are done")
    return parser


if __name__ == "__main__":
    sys.exit(main())
