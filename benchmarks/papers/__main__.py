"""Tables of published papers, made again: theirs beside ours.

    python -m benchmarks.papers [slow] [melt] [--quick] [--work build/papers] [--headline build/headline] [--docs docs]

Parts: `slow` emulates a Raspberry Pi 4 (as root; two cores or more) and measures the device alone, pictures and the split
over slow links, on ResNet-50 and MobileNetV2; `melt` runs a language model on one thread, in several precisions, and over
links. What a part measured is kept as JSON in `--work`, and the page is made of all parts that are there. Which picture is as
good as the split is asked of networks trained on clothing10 (ISTHMUS_DATA): teacher and split are taken from `--headline`,
where `make headline` leaves them, and two networks are trained further on compressed pictures, once, for about ten minutes.
`--quick` measures little, asks no trained network and prints the page.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.llm.__main__ import busy
from benchmarks.papers import melt, page, slow_device

from isthmus.devices.detect import detect

PARTS = ("slow", "melt")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    options.work.mkdir(parents=True, exist_ok=True)
    chosen = [name for name in PARTS if name in (options.parts or PARTS)]
    made = {}
    for name in chosen:
        before = os.getloadavg()[0]
        made[name] = _measured(name, options, say)
        made[name]["meta"] = _meta(name, options) | {"busy": busy([before, os.getloadavg()[0]])}
        if not options.quick:
            (options.work / f"{name}.json").write_text(json.dumps(made[name], indent=1) + "\n", encoding="utf-8")
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            print(page.write(Path(folder), made).read_text(encoding="utf-8"))
    else:
        print(f"written: {page.write(options.docs, _kept(options.work))}")
    return 0


def _measured(name: str, options: argparse.Namespace, say: slow_device.Say) -> dict[str, Any]:
    if name == "melt":
        return melt.run(melt.QUICK if options.quick else melt.Plan(), options.work / name, say=say)
    data = Path(os.environ.get("ISTHMUS_DATA", "../shared/data"))
    plan = slow_device.QUICK if options.quick else slow_device.Plan()
    return slow_device.run(plan, options.work, options.headline, data, say=say)


def _kept(work: Path) -> dict[str, Any]:
    """Parts that were measured, now or before."""
    files = {name: work / f"{name}.json" for name in PARTS}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in files.items() if path.exists()}


def _meta(name: str, options: argparse.Namespace) -> dict[str, Any]:
    machine = detect()
    versions = {"Python": machine.python, **{one: metadata.version(one) for one in ("onnxruntime", "grpcio")}}
    return {
        "benchmark": f"papers {name}",
        "command": f"python -m benchmarks.papers {name}" + (" --quick" if options.quick else ""),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{machine.cores} cores of {machine.cpu_model}, {machine.operating_system}",
        "versions": ", ".join(f"{one} {version}" for one, version in versions.items()),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"{', '.join(PARTS)}; all if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="little of everything, in a minute; nothing is written but bundles")
    parser.add_argument(
        "--work", type=Path, default=Path("build/papers"), help="where bundles and results are kept (default: %(default)s)"
    )
    parser.add_argument(
        "--headline",
        type=Path,
        default=Path("build/headline"),
        help="where make headline left teacher and split (default: %(default)s)",
    )
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where page and plot are written (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
