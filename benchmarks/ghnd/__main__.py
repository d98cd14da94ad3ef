"""YOLOX-nano split by generalised head network distillation, without labels: AP50 against bytes, and delay over links.

    make ghnd                                  everything; an hour, most of it training; docs/ghnd.md and its plots
    python -m benchmarks.ghnd --budget 20m     a shorter training
    python -m benchmarks.ghnd --model M.onnx --cut NAME --recipe isthmus --pictures FOLDER --test BOXES.json
                                               another detector, other pictures
    python -m benchmarks.ghnd --quick ...      few rivals: does it work?

Bundles and figures are kept in the folder and not made again; Ctrl-C ends a training, and the same command goes on.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ghnd import delays, effort, making, page, rivals
from benchmarks.ghnd.measuring import Row, Rows

from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.export import samples

CUT = "781"
"""Behind the third dark stage of the ONNX file: the last tensor that crosses alone before the pyramid begins."""
PICTURES = 1500
TARGET_BYTES = 2800
"""Of a mosaic; photographs with grey bars take fewer."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    data = Path(os.environ.get("ISTHMUS_DATA", "../shared/data"))
    model = options.model or data / "detectors" / "yolox_nano.onnx"
    folder = options.folder
    pictures = options.pictures or making.distilled_on(data, folder / "mosaics", PICTURES)
    boxes = options.test or making.annotated(data, folder / "coco128")
    wanted = ["--cut", options.cut, "--recipe", options.recipe, "--data", str(pictures), "--budget", options.budget]
    wanted += ["--target-bytes", str(options.target_bytes)] if options.target_bytes else []
    named = ["--labels", str(options.labels)] if options.labels else []
    trained = making.bundle([*wanted, *named, "--int8", "off", "--local", "whole"], folder / "split.isthmus", model)
    found = samples.read(boxes)
    bundles = [open_bundle(path) for path in (trained, *options.also)]
    each = [Rows(folder / "measured", bundle, found) for bundle in bundles]
    unsplit = each[0].unsplit("unsplit", "unsplit")
    splits = [(rows.split(f"split {bundle.digest[:12]}"), _trained(bundle)) for rows, bundle in zip(each, bundles, strict=True)]
    ways = rivals.every(1 if options.quick else None)
    sent = [(way, each[0].picture(way)) for way in ways]
    rates = () if options.quick else ("jpeg", "webp")
    result = page.Result(
        unsplit=unsplit,
        splits=splits,
        pictures=[row for _, row in sent],
        small=_small(options.small or data / "detectors" / "FastestDet__FastestDet.onnx", named, pictures, folder, found),
        efforts=effort.efforts(bundles[0], found.pictures, splits[0][0], sent),
        delays=delays.of(bundles[0], found, boxes.parent, folder, rates, split=splits[0][0], unsplit=unsplit),
        pictures_named=f"{boxes.parent.name}, {len(found)} pictures",
    )
    print(f"written: {page.write(options.docs or (folder if options.quick else Path('docs')), result)}")
    return 0


def _trained(bundle: Bundle) -> str:
    """What a bundle's bottleneck is and how long it was trained, in words."""
    told = bundle.manifest.training
    steps = None if told is None or not told.stages else told.stages[0].get("steps")
    channels = "+".join(str(count) for count in bundle.manifest.points[0].channels)
    return f"{bundle.manifest.bottleneck} {channels} channels" + (f", {steps} steps" if steps else ", no training")


def _small(model: Path, named: Sequence[str], pictures: Path, folder: Path, found: samples.Samples) -> Row | None:
    """A smaller detector that the device runs alone: what the head's work is worth without a server."""
    if not model.exists():
        return None
    command = ["--bottleneck", "none", "--bits", "8", "--data", str(pictures), "--int8", "off", *named]
    made = making.bundle(command, folder / "small.isthmus", model)
    name = f"{model.stem.rpartition('__')[2]}, on the device alone"
    return Rows(folder / "measured", open_bundle(made), found).unsplit("local", name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ghnd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/ghnd"), help="where bundles and figures are kept")
    parser.add_argument("--docs", type=Path, help="where page and plots are written; docs, with --quick the folder")
    parser.add_argument("--model", type=Path, help="the detector, an ONNX file; YOLOX-nano of $ISTHMUS_DATA")
    parser.add_argument("--small", type=Path, help="a smaller one for the device alone; FastestDet of $ISTHMUS_DATA")
    parser.add_argument("--labels", type=Path, help="names of its classes, one a line; COCO's for 80 classes")
    parser.add_argument("--cut", default=CUT, help="where the tail begins (default: %(default)s)")
    parser.add_argument("--recipe", default=str(making.RECIPE), help="name or TOML file")
    parser.add_argument("--pictures", type=Path, help="folder to distil on; mosaics of photographs of $ISTHMUS_DATA")
    parser.add_argument("--test", type=Path, help="annotations as COCO's with their pictures; coco128 of $ISTHMUS_DATA")
    parser.add_argument("--budget", default="50m", help="time for training (default: %(default)s)")
    parser.add_argument("--target-bytes", type=int, default=TARGET_BYTES, help="of a training picture; 0: whatever comes")
    parser.add_argument(
        "--also", type=Path, action="append", default=[], metavar="BUNDLE", help="measure this one too; repeatable"
    )
    parser.add_argument("--quick", action="store_true", help="few rivals")
    return parser


if __name__ == "__main__":
    sys.exit(main())
