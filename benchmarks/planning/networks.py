"""Two bundles whose cells are measured: the demo's digits, and MobileNetV2; each exported without training a bottleneck."""

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from benchmarks.codec.networks import DATA

from isthmus.bench import material as materials
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.samples import read
from isthmus.export.training import classifier

Say = Callable[[str], None]
MOBILENET = "benchmarks.codec.networks:mobilenet_v2"
CHANNELS, BITS = 32, 4
"""Of MobileNetV2's codes: principal components, of which a half and a quarter are points of their own."""
TEACHER_S, BELTS = 25.0, 10
"""What the digits' network is trained with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One bundle with the pictures that it is measured on.

    Attributes:
        name: in tables.
        bundle: with three operating points.
        pictures: folder that is evaluated, profiled and measured; nothing was fitted to them.
    """

    name: str
    bundle: Bundle
    pictures: Path


def make(folder: Path, count: int, *, say: Say) -> list[Known]:
    """Both bundles; MobileNetV2 only where its weights and pictures are. What the folder has already is not made again."""
    found = [_digits(folder / "digits", count, say)]
    if (DATA / "imagenet_mobilenetv2").is_dir() and (DATA / "imagenet_samples").is_dir():
        found.append(_mobilenet(folder / "mobilenet", count, say))
    else:
        say(f"MobileNetV2 is left out: {DATA} lacks imagenet_mobilenetv2 or imagenet_samples; ISTHMUS_DATA names the folder")
    return found


def _digits(folder: Path, count: int, say: Say) -> Known:
    pictures = folder / "pictures"
    if not (folder / "digits.isthmus").exists():
        say("digits: training the network")
        folder.mkdir(parents=True, exist_ok=True)
        material = materials.digits(folder, belts=BELTS, frames=4000)
        model = classifier.train_classifier(read(material.train), material.preparation, budget_s=TEACHER_S, seed=0)
        classifier.write_onnx(model, material.preparation, folder / "teacher.onnx")
        _write_test(material, pictures, count)
        settings = ExportSettings(cut="stage2", bottleneck="pca", channels=16, bits=BITS, data=material.train, int8="off")
        export(str(folder / "teacher.onnx"), folder / "digits.isthmus", settings)
    return Known(name="digits", bundle=open_bundle(folder / "digits.isthmus"), pictures=pictures)


def _write_test(material: materials.Material, folder: Path, count: int) -> None:
    """Frames of the test belt with a whole digit, by class, spread over it."""
    scenes = [scene for scene in material.scenes() if scene.truth is not None]
    for index in np.linspace(0, len(scenes) - 1, count).astype(int):
        scene = scenes[index]
        place = folder / material.classes[scene.truth]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{scene.sequence:05d}.png"), scene.picture)


def _mobilenet(folder: Path, count: int, say: Say) -> Known:
    pictures = folder / "pictures"
    if not (folder / "mobilenet.isthmus").exists():
        say("MobileNetV2: exporting")
        _unpack(folder, pictures, count)
        settings = ExportSettings(
            bottleneck="pca",
            channels=CHANNELS,
            bits=BITS,
            data=folder / "fitted",
            preprocess="imagenet",
            int8="off",
            local="int8",
        )
        export(MOBILENET, folder / "mobilenet.isthmus", settings)
    return Known(name="MobileNetV2", bundle=open_bundle(folder / "mobilenet.isthmus"), pictures=pictures)


def _unpack(folder: Path, pictures: Path, count: int) -> None:
    """Photos without labels: a bottleneck is fitted to some, others are measured."""
    for place in (folder / "fitted", pictures):
        place.mkdir(parents=True, exist_ok=True)
    (path,) = (DATA / "imagenet_samples").glob("*.tar")
    with tarfile.open(path) as archive:
        photos = sorted((one for one in archive.getmembers() if one.name.endswith(".jpg")), key=lambda one: one.name)
        step = len(photos) // count
        for index, member in enumerate(photos):
            is_measured = index % step == 0 and index // step < count
            place = pictures if is_measured else folder / "fitted"
            content = archive.extractfile(member)
            if content is not None and (is_measured or index % 2):
                (place / Path(member.name).name).write_bytes(content.read())
