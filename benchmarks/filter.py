"""The neural filter on real film, and where its promise can be shown.

    python benchmarks/filter.py [--folder build/filter-benchmark] [--json PATH] [--only NAME ...]

YOLOX-nano is cut at 21% of its FLOPs and exported with 16 principal components of 4 bits, calibrated on photographs of COCO.
Three short films of ISTHMUS_DATA (fixed cameras) are labelled by the boxes of the unsplit network, the film of the road once
more by eye, because the network takes the empty road itself for an airplane. Each film is cut in time into three blocks
between events; each block is the test once while a filter is trained on one of the others and calibrated on the third. Short
films cannot show 99%, so their filters are made `--uncertified`. Of drawn film, the demo's belt of handwritten digits, there
is enough: 300 events calibrate the threshold, of digits that training did not see, and 300 further ones test it.

Codes and labels of the films are kept in the folder; they are made when they are not there.
"""

import argparse
import dataclasses
import datetime
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markdown import table
from rich.console import Console

from isthmus.contract.binomial import interval
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.devices.detect import detect
from isthmus.devices.filtering import FilterNetwork
from isthmus.errors import ExportError
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.filtering import footage, labels, making, parting
from isthmus.export.filtering.footage import Film, Footage, Shot
from isthmus.export.filtering.making import FilterSettings
from isthmus.export.filtering.parting import Part
from isthmus.head.belt import Belt
from isthmus.head.gate import MotionGate
from isthmus.head.source import open_source

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CUT, CHANNELS, BITS = "725", 16, 4
THIRDS: dict[Part, float] = {"train": 1.0, "calibration": 1.0, "test": 1.0}
ORDERS: tuple[tuple[Part, ...], ...] = (
    ("train", "calibration", "test"),
    ("calibration", "test", "train"),
    ("test", "train", "calibration"),
)
"""Each block is the test once."""
BELT_EVENTS: dict[Part, int] = {"train": 100, "calibration": 300, "test": 300}
BELT_FRAMES, BELT_EVERY, BELT_EMPTY_EVERY = 6000, 4, 40
console = Console(stderr=True, width=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One film with its labels.

    Attributes:
        name: of the row.
        file: below `video`.
        watched: classes whose boxes count; empty: all.
        pause_s: of an event.
        by_eye: (first, last) frame of each event, where the network's boxes are not taken.
    """

    name: str
    file: str
    watched: tuple[str, ...] = ()
    pause_s: float = 1.0
    by_eye: tuple[tuple[int, int], ...] = ()


TASKS = (
    Task(name="people", file="one-by-one-person-detection.mp4", watched=("person",)),
    Task(name="hand and bottles", file="bottle-detection.mp4", watched=("person",)),
    Task(name="road", file="bgs_video.avi"),
    # Two cars that follow each other at two frames' distance are two events; nothing blinks in labels by eye.
    Task(name="road, by eye", file="bgs_video.avi", by_eye=((57, 194), (196, 260), (291, 360)), pause_s=0.0),
)


def exported(folder: Path) -> Bundle:
    """The bundle that everything is measured on."""
    path = folder / "yolox.isthmus"
    if not path.exists():
        pictures = folder / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        with tarfile.open(DATA / "coco128_train2017/images.tar") as archive:
            archive.extractall(pictures, filter="data")
        settings = ExportSettings(
            bottleneck="pca",
            channels=CHANNELS,
            bits=BITS,
            cut=CUT,
            int8="off",
            data=pictures,
            detector="yolox",
            preprocess="yolox",
        )
        export(str(DATA / "detectors/yolox_nano.onnx"), path, settings, on_step=console.print)
    return open_bundle(path)


def film_of(task: Task, bundle: Bundle, folder: Path) -> tuple[Film, np.ndarray]:
    """Codes and labels of a film, and bool[frame]: whether the motion gate lets it pass."""
    path = folder / f"{task.name.replace(' ', '-')}.npz"
    if not path.exists():
        console.print(f"reading {task.file}")
        told = labels.choose("model", bundle, watched=task.watched, nothing=())
        gate, opened = MotionGate(), []

        def shots() -> Iterator[Shot]:
            for frame in source:
                opened.append(gate.decide(frame.image).open)
                yield Shot(index=frame.sequence, name=frame.name, picture=frame.image)

        with open_source(str(DATA / "video" / task.file)) as source:
            film = footage.read(bundle, Footage(name=task.file, fps=source.fps, shots=shots()), told)
        np.savez(path, codes=film.codes[0], seen=film.seen, fps=film.fps, opened=opened)
    with np.load(path, allow_pickle=False) as kept:
        seen = kept["seen"]
        if task.by_eye:
            seen = np.zeros(len(seen), bool)
            for first, last in task.by_eye:
                seen[first : last + 1] = True
        film = Film(name=task.file, fps=float(kept["fps"]), codes=(kept["codes"],), seen=seen, known=np.ones(len(seen), bool))
        return film, kept["opened"]


def blocks(task: Task, film: Film, opened: np.ndarray, bundle: Bundle) -> list[dict[str, Any]]:
    """One row for each block of a film that is the test."""
    rows = []
    numbered = replace(film, codes=(np.arange(len(film.seen)),))
    for order in ORDERS:
        settings = FilterSettings(uncertified=True, pause_s=task.pause_s, watched=task.watched)
        parts = making.part_films([film], task.pause_s, order, THIRDS)
        try:
            parting.check(parts, task.pause_s)
        except ExportError as reason:  # a row of its own
            return [{"film": task.name, "refused": str(reason), "frames": len(film.seen), "seen": int(film.seen.sum())}]
        with tempfile.TemporaryDirectory() as temporary:
            made = making.make(
                bundle, Path(temporary) / "b", parts, settings, labels="see task", film=[task.file], parting_words="thirds"
            )
            (test,) = parts["test"]
            scores = making.scored(FilterNetwork(made), test)
        record = made.manifest.filter
        assert record is not None
        (numbers,) = making.part_films([numbered], task.pause_s, order, THIRDS)["test"]
        passed = opened[numbers.codes[0]]
        dropped = scores < record.threshold
        rows.append(
            {
                "film": task.name,
                "block": f"{1 + order.index('test')} of 3",
                **record.figures[2].model_dump(),
                "passed": round(record.figures[2].recall_events.value * record.figures[2].events),
                "empty_by_filter": int((test.empty & dropped).sum()),
                "empty_by_gate": int((test.empty & ~passed).sum()),
                "empty_by_both": int((test.empty & (dropped | ~passed)).sum()),
                "filter_us": record.filter_us,
                "head_us": record.head_us,
                "encode_us": record.encode_us,
                "recall_shown": record.recall_shown,
            }
        )
        console.print(f"{task.name}, block {rows[-1]['block']}: {rows[-1]['passed']} of {rows[-1]['events']} events")
    return rows


def pooled(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The blocks of a film together: each frame was in the test once."""
    total = {
        key: sum(row[key] for row in rows)
        for key in ("events", "passed", "empty", "empty_by_filter", "empty_by_gate", "empty_by_both")
    }
    seen = sum(row["seen"] for row in rows)
    return {
        "film": name,
        "block": "all",
        **total,
        "recall_events": interval("event recall", total["passed"], total["events"]).model_dump(),
        "recall_frames": sum(row["recall_frames"] * row["seen"] for row in rows) / seen,
        "auc": None,
    }


def belt_film(part: Part, scans: tuple[np.ndarray, np.ndarray], seed: int, bundle: Bundle, folder: Path) -> Film:
    """Passages of digits: every fourth frame of each, and some of the empty belt."""
    path = folder / f"belt-{part}.npz"
    if not path.exists():
        console.print(f"drawing {BELT_EVENTS[part]} passages for the {part} part")

        def shots() -> Iterator[Shot]:
            passages, index = 0, 0
            for number in range(100):
                belt = Belt(*scans, seed=seed + number, frames=BELT_FRAMES)
                shares = belt.visible_shares
                inside = shares > 0
                for frame in range(BELT_FRAMES):
                    passages += frame > 0 and bool(inside[frame - 1] and not inside[frame])
                    if frame % (BELT_EVERY if inside[frame] else BELT_EMPTY_EVERY) == 0:
                        view = belt.frame(frame)
                        truth = None if view.edge else view.label is not None
                        yield Shot(index=index, name="", picture=view.image, truth=truth)
                        index += 1
                    if passages == BELT_EVENTS[part] and not inside[frame]:
                        return

        film = footage.read(bundle, Footage(name=f"belt {part}", fps=30 / BELT_EVERY, shots=shots()), labels.SourceLabels())
        np.savez(path, codes=film.codes[0], seen=film.seen, known=film.known)
    with np.load(path, allow_pickle=False) as kept:
        return Film(name="belt", fps=30 / BELT_EVERY, codes=(kept["codes"],), seen=kept["seen"], known=kept["known"])


def belt(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Filter and figures of drawn film, certified."""
    from sklearn.datasets import load_digits

    drawn = load_digits()
    sprites, digits = drawn.images.astype(np.uint8), drawn.target.astype(np.uint8)
    groups = np.split(np.random.default_rng(0).permutation(len(sprites)), [600, 1200])
    parts: dict[Part, list[parting.Stretch]] = {}
    for seed, (part, group) in enumerate(zip(parting.PARTS, groups, strict=True)):
        film = belt_film(part, (sprites[group], digits[group]), 1000 * (seed + 1), bundle, folder)
        parts |= {part: making.part_films([film], 0.0, (part,))[part]}
    with tempfile.TemporaryDirectory() as temporary:
        made = making.make(
            bundle,
            Path(temporary) / "b",
            parts,
            FilterSettings(pause_s=0.0),
            labels="drawn",
            film=["belt"],
            parting_words="belts",
        )
    record = made.manifest.filter
    assert record is not None
    figures = record.figures[2]
    return {
        "film": "belt (drawn)",
        "block": "other digits",
        **figures.model_dump(),
        "passed": round(figures.recall_events.value * figures.events),
        "empty_by_filter": round(figures.empty_dropped * figures.empty),
        "recall_shown": record.recall_shown,
        "filter_us": record.filter_us,
        "head_us": record.head_us,
        "encode_us": record.encode_us,
    }


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The table as Markdown."""
    columns = ["film", "test block", "events", "passed", "95% interval", "frames passed", "empty frames", "filter drops"]
    columns += ["gate drops", "both drop", "AUC", "filter / head, us"]
    return table(columns, [_cells(row) for row in rows if "refused" not in row], str)


def _cells(row: dict[str, Any]) -> list[str]:
    def share(key: str) -> str:
        return f"{row[key] / row['empty']:.1%}" if row.get(key) is not None and row["empty"] else "-"

    recall = row["recall_events"]
    times = f"{row['filter_us']:.0f} / {row['head_us']:.0f}" if "filter_us" in row else "-"
    return [
        row["film"],
        row["block"],
        str(row["events"]),
        str(row["passed"]),
        f"{recall['low']:.1%} to {recall['high']:.1%}",
        f"{row['recall_frames']:.1%}",
        f"{row['empty']:,}",
        share("empty_by_filter"),
        share("empty_by_gate"),
        share("empty_by_both"),
        "-" if row["auc"] is None else f"{row['auc']:.4f}",
        times,
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, default=Path("build/filter-benchmark"), help="where bundle, codes and labels are kept"
    )
    parser.add_argument("--json", type=Path, help="where the figures are written as well")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="just this film, or belt; repeats")
    options = parser.parse_args(arguments)
    if not (DATA / "video").is_dir():
        parser.error(f"there are no films at {DATA}; set ISTHMUS_DATA")
    bundle = exported(options.folder)
    rows: list[dict[str, Any]] = []
    for task in TASKS:
        if options.only and task.name not in options.only:
            continue
        found = blocks(task, *film_of(task, bundle, options.folder), bundle)
        rows += [*found, pooled(task.name, found)] if "refused" not in found[0] else found
    if not options.only or "belt" in options.only:
        rows.append(belt(bundle, options.folder))
    print(page(rows))
    for row in rows:
        if "refused" in row:
            print(f"\n{row['film']}: {row['seen']} of {row['frames']} frames have boxes: {row['refused']}")
    machine = dataclasses.asdict(detect())
    meta = {"benchmark": "filter", "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"), "machine": machine}
    if options.json:
        options.json.write_text(json.dumps({"meta": meta, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
