"""The controller on recorded links, beside every fixed placement and an oracle that knows the recording.

    python -m benchmarks.controller [--folder build/controller-benchmark] [--docs docs] [--fresh] [--frames N] [--tuned]

One command makes everything out of ISTHMUS_DATA: it fits two classifiers and exports a bundle (a few minutes on two cores), runs
all recordings in virtual time, sets some of them beside the real programs (ten minutes by the clock), and writes
docs/controller.md with its plot. What is in the folder already is not made again. `--tuned` prints the figures of the recordings
that the defaults were chosen on, and writes nothing.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from benchmarks.controller import material, page, recordings, runs, validation
from benchmarks.controller.scenario import Camera

from isthmus.codec.predictive import IS_FAST

VALIDATED = 3
"""Recordings that the real programs run on: of those that are reported, by rate, at one, two and three quarters."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/controller-benchmark"), help="where all is kept")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where page and plot are written")
    parser.add_argument("--frames", type=int, default=Camera().frames, help="of each recording (default: %(default)s)")
    parser.add_argument("--tuned", action="store_true", help="run the recordings for tuning instead")
    parser.add_argument("--no-validation", action="store_true", help="leave the real programs out")
    parser.add_argument("--fresh", action="store_true", help="make everything anew")
    options = parser.parse_args()
    if not material.DATA.is_dir():
        parser.error(f"there is no folder {material.DATA}; set ISTHMUS_DATA to where photos, networks and traces are")
    if not IS_FAST:
        parser.error("the C core is not built; install isthmus where there is a C compiler")
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    made = material.make(options.folder, say=say)
    camera = Camera(frames=options.frames)
    if options.tuned:
        found = runs.measure(recordings.read(options.folder, "tuned"), made.known, made.known, camera, say=say)
        print(page.summary(found))
        return
    results = options.folder / "results.json"
    if not results.exists():
        found = runs.measure(recordings.read(options.folder, "reported"), made.known, made.new, camera, say=say)
        results.write_text(json.dumps([run.as_json() for run in found]), encoding="utf-8")
    found = runs.read(json.loads(results.read_text(encoding="utf-8")))
    real = options.folder / "validation.json"
    if not real.exists() and not options.no_validation:
        chosen = _spread(recordings.read(options.folder, "reported"))
        pairs = validation.measure(made, chosen, camera, options.folder, say=say)
        real.write_text(json.dumps([pair.as_json() for pair in pairs]), encoding="utf-8")
    pairs = [validation.Pair(**row) for row in json.loads(real.read_text(encoding="utf-8"))] if real.exists() else []
    print(f"written: {page.write(options.docs, made.known, made.new, camera, found, pairs)}")


def _spread(found: list[recordings.Recording]) -> list[recordings.Recording]:
    ordered = sorted(found, key=lambda recording: recording.profile.mean_rate_bit_s or 0.0)
    return [ordered[round((index + 1) * len(ordered) / (VALIDATED + 1))] for index in range(VALIDATED)]


if __name__ == "__main__":
    main()
