"""The recipes of the package, and those of a user, on one task in one plot.

make recipes                                         all of it; Ctrl-C ends it, the same command goes on
python -m benchmarks.recipes --recipe mine.toml      a recipe of your own too
python -m benchmarks.recipes --quick                 tiny, on noise: does it work?
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.codec.networks import DATA
from benchmarks.contender import contender_of
from benchmarks.headline import predictions
from benchmarks.headline.__main__ import perform
from benchmarks.headline.stages import CONTENDERS
from benchmarks.headline.store import Store
from benchmarks.recipes import page, plan
from benchmarks.recipes.page import Outcome
from benchmarks.recipes.stages import DIVERGED, Trial

from isthmus.errors import IsthmusError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if not options.quick and not DATA.is_dir():
        raise SystemExit(f"there is no folder {DATA}; set ISTHMUS_DATA to where photos and weights are, or give --quick")
    try:
        trial = Trial.of(plan.QUICK if options.quick else plan.FULL, options.recipe)
        store = Store(options.folder / trial.scale.name)
        code = 0 if options.page else perform(store, trial.stages())
    except IsthmusError as error:
        raise SystemExit(str(error)) from None
    docs = options.docs or (store.root if options.quick or options.recipe else Path("docs"))
    docs.mkdir(parents=True, exist_ok=True)
    print(f"written: {page.write(docs, trial, gather(store, trial), diverged(store, trial))}")
    return code


def gather(store: Store, trial: Trial) -> list[Outcome]:
    """Of what has been asked so far; nothing before the unsplit network has."""
    found: list[Outcome] = []
    unsplit: predictions.Predictions | None = None
    labels = trial.reporting.labels
    assert labels is not None
    for stage in trial.stages():
        facts = store.facts(stage) or {}
        for told in facts.get(CONTENDERS, []):
            said = predictions.load(store.folder(stage) / told["file"])
            unsplit = unsplit or said
            one = contender_of(told, said, unsplit, labels, told["share"])
            found.append(Outcome(contender=one, mmac=told["mmac"], steps=told.get("steps", 0), seconds=facts["seconds"]))
    return found


def diverged(store: Store, trial: Trial) -> list[str]:
    """Trainings that went nowhere."""
    told = [(store.facts(stage) or {}).get(DIVERGED) for stage in trial.stages()]
    return [words for words in told if words]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recipes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/recipes"), help="where results are kept")
    parser.add_argument("--docs", type=Path, help="where page and plot are written; docs, with --quick or --recipe the folder")
    parser.add_argument("--recipe", action="append", default=[], metavar="FILE", help="a recipe of your own, repeatable")
    parser.add_argument("--quick", action="store_true", help="an untrained network on noise")
    parser.add_argument("--page", action="store_true", help="train nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
