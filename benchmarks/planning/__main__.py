"""Plans beside measurements, on two networks.

    python -m benchmarks.planning [--frames 40] [--folder build/planning] [--json PATH] [--fresh]

Each bundle is evaluated and profiled as a user would, and every cell (placement, setting, link) measured, interleaved in one run,
over the shaper, with a real server; then it is profiled once more, and `isthmus plan` predicts the cells by the mean of both
profiles. Printed are every cell, the part of them whose median is predicted within 10%, and the part of the verdicts whose
placement is within 5% of the best that was measured, once with the device alone among the choices and once without; then a small
fleet, simulated and real. A quarter of an hour.
"""

import argparse
import datetime
import json
import shutil
import sys
import time
from pathlib import Path

from benchmarks.planning import cells, crowd, networks

from isthmus.devices.detect import detect


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40, help="that every cell answers (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("build/planning"), help="where bundles are kept")
    parser.add_argument("--json", type=Path, help="write all cells there")
    parser.add_argument("--fresh", action="store_true", help="make the bundles anew")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    found = [cells.run(known, options.frames, say=say) for known in networks.make(options.folder, options.frames, say=say)]
    compared = [one for each in found for one in each.compared]
    judged = [one for each in found for one in each.judged]
    print(f"{'network':12} {'link':14} {'cell':26} {'plan ms':>8} {'p50 ms':>8} {'ratio':>6} {'plan B':>9} {'wire B':>9}")
    print("\n".join(cells.table_lines(compared)))
    for one in judged:
        if one.loss > cells.GOOD:
            print(
                f"missed: {one.network} over {one.link}, drop {one.drop:.0%}: {one.chosen} {one.chosen_ms:.1f} ms, "
                f"best {one.best} {one.best_ms:.1f} ms"
            )
    for each in found:
        words = f"the shaper itself takes {each.shaper_ms:.1f} ms of these"
        print(f"{each.compared[0].network}: {words}, by cells without rate and delay")
    within = [abs(one.ratio - 1) <= cells.WITHIN for one in compared]
    print(f"cells with the median within {cells.WITHIN:.0%}: {cells.share(within)}, target 90%")
    apart = [abs(one.without(each.shaper_ms) - 1) <= cells.WITHIN for each in found for one in each.compared]
    print(f"the same with the shaper's own time taken off: {cells.share(apart)}")
    for alone, words in ((True, "all placements"), (False, "as if the device could not answer alone")):
        good = [one.loss <= cells.GOOD for one in judged if one.alone is alone]
        print(f"verdicts within {cells.GOOD:.0%} of the best, {words}: {cells.share(good)}, target 95%")
    print(f"{crowd.DEVICES} streams, one instance, {crowd.SECONDS:g} s each\n{crowd.HEADER}")
    print("\n".join(one.line for each in found for one in each.crowds))
    for each in found:
        for reason in each.unsteady_because:
            print(f"unsteady: {reason}")
    if options.json:
        meta = {"created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "cpu": detect().cpu_model}
        rows = [one.as_json() for each in found for one in (*each.compared, *each.judged, *each.crowds)]
        options.json.write_text(json.dumps({"meta": meta, "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
