"""ImageNet's MobileNetV2 on 500 sample photos: agreement and top-1 against bytes, at every depth of the cut.

make imagenet                                        all of it: up to 45 minutes; Ctrl-C ends it, goes on next time
python -m benchmarks.imagenet --page                 nothing is measured; page and plot from what there is
python -m benchmarks.imagenet --quick                tiny, on drawn pictures: does it work?
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.headline.__main__ import perform
from benchmarks.headline.photos import drawn
from benchmarks.headline.store import Store
from benchmarks.imagenet import page, plan
from benchmarks.imagenet.gathering import gather
from benchmarks.imagenet.photos import sample
from benchmarks.imagenet.stages import Sample
from benchmarks.mobilenet import MobileNetV2, begin, imagenet

QUICK_WIDTH = 0.25


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    made = _quick() if options.quick else _full()
    store = Store(options.folder / made.scale.name)
    code = 0 if options.page else perform(store, made.stages())
    docs = options.docs or (store.root if options.quick else Path("docs"))
    docs.mkdir(parents=True, exist_ok=True)
    print(f"written: {page.write(docs, made, gather(store, made))}")
    return code


def _full() -> Sample:
    data = Path(os.environ.get("ISTHMUS_DATA", "../shared/data"))
    if not data.is_dir():
        raise SystemExit(f"there is no folder {data}; set ISTHMUS_DATA to where photos and weights are, or give --quick")
    return Sample(photos=sample(data), network=imagenet(data), origin="imagenet_mobilenetv2", scale=plan.FULL)


def _quick() -> Sample:
    photos = drawn(plan.QUICK_PHOTOS)
    network = begin(MobileNetV2(len(photos.names), width=QUICK_WIDTH))
    return Sample(photos=photos, network=network, origin="begun", scale=plan.QUICK)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.imagenet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/imagenet"), help="where results are kept")
    parser.add_argument("--docs", type=Path, help="where page and plot are written; docs, with --quick the folder")
    parser.add_argument("--quick", action="store_true", help="an untrained network on drawn pictures")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
