"""The codec beside general compressors, picture and video formats and a context mixer, on codes of trained bottlenecks.

    python -m benchmarks.codec [--folder build/codec-benchmark] [--fresh] [--only NAME ...] [--docs docs]

One command makes everything: it trains the bottlenecks on the pictures of ISTHMUS_DATA (about a quarter of an hour on two cores),
measures, and writes docs/codec-benchmark.md with its plots. What is in the folder already is not made again. `pip install -r
benchmarks/codec/requirements.txt` brings brotli, constriction and PyAV; what is missing is left out with a line.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

from benchmarks.codec import material, page, results
from benchmarks.codec.bottlenecks import PLANS
from benchmarks.codec.networks import DATA
from benchmarks.codec.rivals import OPTIONAL, optional

from isthmus.codec.predictive import IS_FAST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/codec-benchmark"), help="where codes and results are kept")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where page and plots are written")
    parser.add_argument("--only", nargs="*", choices=list(PLANS), default=list(PLANS), help="bottlenecks to measure")
    parser.add_argument("--fresh", action="store_true", help="make everything anew")
    options = parser.parse_args()
    if not IS_FAST:
        parser.error("the C core is not built; install isthmus where there is a C compiler")
    if not DATA.is_dir():
        parser.error(f"there is no folder {DATA}; set ISTHMUS_DATA to where the pictures and networks are")
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    for package in OPTIONAL:
        if optional(package) is None:
            print(f"{package} is not installed and left out: pip install -r benchmarks/codec/requirements.txt")
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    material.prepare(options.folder, options.only, say=say)
    entries = results.measure(options.folder, options.only, say)
    print(f"written: {page.write(options.folder, options.docs, entries)}")


if __name__ == "__main__":
    main()
