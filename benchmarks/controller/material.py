"""What the device can choose from: a bundle, and what every choice does with every picture. Made once and kept in a folder.

    pictures/{train,known,new}/<class>/   photos: to fit on, to tell the controller what choices are worth, to score with
    bundle/                               split of three points, whole.onnx, local.onnx, evaluation.json with `known`'s figures
    choices.json                          per choice and picture: bytes, right or wrong, seconds on the device and on the server

What the controller expects of a choice comes from pictures that the scores do not come from.
"""

import json
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.controller import networks
from benchmarks.controller.choice_table import ChoiceTable
from benchmarks.controller.recordings import DATA

from isthmus.codec import tables
from isthmus.codec.codec import Codec, offered
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.metric import proportion
from isthmus.contract.picture import decode_picture
from isthmus.contract.prepare import prepare
from isthmus.devices.runtime import Network
from isthmus.export import samples
from isthmus.export.cutting import cuts
from isthmus.export.doors.opening import open_model
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.samples import Samples
from isthmus.head.placement import Local, Sender, Split, parse_offload

PICTURE_SETTINGS = ("jpeg-75", "jpeg-30", "webp-50", "webp-15")
CUT_SHAPE, CHANNELS, BITS = (64, 14, 14), 32, 4
"""Stride 16 of MobileNetV2; principal components, of which a half and a quarter are points of their own. Nothing is trained."""
KNOWN_EVERY = 5
"""Every fifth photo of the training part is kept from the fit."""
PIXELS_MAX = 1 << 24
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All of it."""

    bundle: Bundle
    known: list[ChoiceTable]
    new: list[ChoiceTable]
    pictures: Path
    """Of the part `new`."""


def make(folder: Path, *, say: Say) -> Material:
    """Read what the folder has, and make what it has not."""
    choices = folder / "choices.json"
    if not choices.exists():
        _make(folder, choices, say)
    parts = json.loads(choices.read_text(encoding="utf-8"))
    found = {part: [ChoiceTable(**row) for row in rows] for part, rows in parts.items()}
    bundle = open_bundle(folder / "bundle")
    return Material(bundle=bundle, known=found["known"], new=found["new"], pictures=folder / "pictures" / "new")


def _make(folder: Path, choices: Path, say: Say) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    say("unpacking the photos")
    _unpack(folder / "pictures")
    train, known, new = (samples.read(folder / "pictures" / part) for part in ("train", "known", "new"))
    if not (folder / "local.onnx").exists():
        say("fitting the classifiers")
        networks.write(train, folder)
    say("exporting")
    bundle = _bundle(folder, known.names)
    tabled = {}
    for part, pictures in (("known", known), ("new", new)):
        say(f"every choice on {len(pictures)} photos ({part})")
        tabled[part] = _tables(bundle, pictures)
        say("; ".join(f"{row.name} {row.accuracy:.1%} at {np.mean(row.size_bytes):,.0f} B" for row in tabled[part]))
    _write_evaluation(folder / "bundle" / "evaluation.json", tabled["known"])
    choices.write_text(json.dumps({part: [asdict(row) for row in rows] for part, rows in tabled.items()}), encoding="utf-8")


def _unpack(target: Path) -> None:
    with tarfile.open(DATA / "clothing10" / "clothing_trainval.tar") as archive:
        files = sorted((one for one in archive.getmembers() if one.name.endswith(".jpg")), key=lambda one: one.name)
        for index, member in enumerate(files):
            *_, split, label, name = Path(member.name).parts
            part = "new" if split == "validation" else "train" if index % KNOWN_EVERY else "known"
            place = target / part / label
            place.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None
            (place / name).write_bytes(content.read())


def _bundle(folder: Path, labels: tuple[str, ...]) -> Bundle:
    """What the exporter makes of both networks."""
    settings = ExportSettings(
        cut=_cut(folder / "whole.onnx"),
        bottleneck="pca",
        channels=CHANNELS,
        bits=BITS,
        data=folder / "pictures" / "train",
        preprocess="imagenet",
        labels=labels,
        int8="off",
        local=folder / "local.onnx",
    )
    return export(str(folder / "whole.onnx"), folder / "bundle", settings).bundle


def _cut(path: Path) -> str:
    """The last cut of the wanted shape."""
    fitting = [cut for cut in cuts.enumerate(open_model(str(path)).model) if cut.is_single and cut.shapes[0][1:] == CUT_SHAPE]
    return fitting[-1].tensors[0]


def _tables(bundle: Bundle, pictures: Samples) -> list[ChoiceTable]:
    server = _Server(bundle)
    choices: list[Local | Sender] = [Local(bundle)]
    choices += [Split(bundle, point=point) for point in range(len(bundle.manifest.points))]
    choices += [parse_offload(setting) for setting in PICTURE_SETTINGS]
    return [_table(choice, server, pictures) for choice in choices]


def _table(choice: Local | Sender, server: "_Server", pictures: Samples) -> ChoiceTable:
    assert pictures.labels is not None
    made = ChoiceTable(placement=choice.name, setting=choice.setting, size_bytes=[], right=[], device_s=[], server_s=[])
    for picture, label in zip(pictures.pictures, pictures.labels, strict=True):
        if isinstance(choice, Local):
            answer = choice.answer(picture)
            outputs, stages, size_bytes, server_s = answer.outputs, answer.stages_s, 0, 0.0
        else:
            outgoing = choice.pack(picture)
            stages, size_bytes = outgoing.stages_s, outgoing.payload_bytes
            outputs, server_s = server.answer(outgoing.capture)
        made.size_bytes.append(size_bytes)
        made.right.append(int(np.argmax(outputs["scores"]) == label))
        made.device_s.append(sum(stages.values()))
        made.server_s.append(server_s)
    return made


class _Server:
    """What the server does with a capture, without the server around it."""

    def __init__(self, bundle: Bundle) -> None:
        self._manifest = bundle.manifest
        found = tables.of_bundle(bundle)
        self._codec = Codec(bundle.manifest.boundary, bundle.manifest.points, offered(found), tables=found)
        self._tail, self._whole = Network.of_bundle(bundle, "tail.onnx"), Network.of_bundle(bundle, "whole.onnx")

    def answer(self, capture: wire.Capture) -> tuple[dict[str, np.ndarray], float]:
        """Outputs and seconds."""
        started = time.perf_counter()
        if capture.HasField("picture"):
            assert self._manifest.preparation is not None
            picture = decode_picture(capture.picture.data, capture.picture.format, pixels_max=PIXELS_MAX)
            outputs = self._whole.run({self._manifest.input.name: prepare(picture, self._manifest.preparation)})
        else:
            codes = self._codec.decode(capture.codes, point=capture.point)
            named = zip(self._manifest.boundary.tensors, codes, strict=True)
            outputs = self._tail.run({tensor.name: array[np.newaxis] for tensor, array in named})
        return outputs, time.perf_counter() - started


def _write_evaluation(path: Path, known: Sequence[ChoiceTable]) -> None:
    """Figures of every choice in place of those that the exporter could measure; no signature covers this file."""
    rows = [_evaluated(row) for row in known]
    results = {"meta": {"data": "held-out photos", "samples": len(known[0].right)}, "rows": rows}
    path.write_text(json.dumps(results, indent=2), encoding="utf-8")


def _evaluated(row: ChoiceTable) -> dict[str, Any]:
    """As `isthmus evaluate` has it."""
    name, _, quality = row.setting.partition("-")
    called = {
        "split": ("point", row.setting, ""),
        "offload": ("rival", name, f"q{quality}"),
        "local": ("rival", "local", "local.onnx"),
    }
    kind, named, setting = called[row.placement]
    return {
        kind: named,
        "setting": setting,
        "bytes_mean": float(np.mean(row.size_bytes)),
        "metric": proportion("accuracy", sum(row.right), len(row.right)).model_dump(),
        "device_ms": 1e3 * row.quiet_device_s,
    }
