"""The part `slow`: everything that is measured on the emulated Raspberry Pi 4, kept as one JSON file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.headline.photos import clothing, drawn
from benchmarks.papers import accuracy, bundles, pi4, slow_core
from benchmarks.papers.accuracy import Trained
from benchmarks.papers.answered import Answered, stand_ins
from benchmarks.papers.pi4 import Rival, Round, Say, Subject

from isthmus.contract.bundle import open_bundle

PHOTOS = "clothing10"
UNTRAINED = (
    Rival(codec="webp", side=128, quality=10, network="not asked"),
    Rival(codec="jpeg", side=128, quality=20, network="not asked"),
)
"""Where no trained network says which picture is as good as the split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much.

    Attributes:
        networks: names of those that are measured.
        links: over which.
        frames: of each cell.
        photos: that bundles are made from, and are asked.
        asks: whether trained networks say what pictures are worth, and `isthmus plan` what it would do.
    """

    networks: Sequence[str] = ("ResNet-50", "MobileNetV2")
    links: Sequence[str] = pi4.LINKS
    frames: int = 30
    photos: int = 30
    asks: bool = True


QUICK = Plan(networks=("MobileNetV2",), links=("1mbit/10ms",), frames=3, photos=10, asks=False)
FILES = ("head.onnx", "head.int8.onnx", "tail.onnx", "whole.onnx")
MODELS = {
    "ResNet-50": ("benchmarks.papers.networks:resnet50", "relu_24"),
    "MobileNetV2": ("benchmarks.papers.networks:mobilenet_v2", "getitem_60"),
}
"""Factories, and the first tensor of a sixteenth of the picture: the place at which the trained split is cut."""


def run(plan: Plan, work: Path, headline: Path, data: Path, *, say: Say) -> dict[str, Any]:
    """Measure what can be measured here.

    Returns:
        `rows` of cells, `plans`, `answered`, `sizes` of the networks, `calibration`; `left_out` says in words what is not there.
    """
    trained = accuracy.read(work / "accuracy", headline, data, say=say) if plan.asks else "a quick run asks no trained network"
    left_out = [f"Accuracy: {trained}."] if isinstance(trained, str) else []
    known = None if isinstance(trained, str) else trained
    pictures = _photos(work / f"photos-{plan.photos}", data, plan.photos)
    subjects = [_subject(name, known, pictures, work) for name in plan.networks]
    found: dict[str, Any] = {
        "answered": [asdict(one) for one in known.answered] if known else [],
        "sizes": [sizes(one) for one in subjects],
        "rows": [],
        "plans": [],
        "calibration": None,
        "photos": f"{plan.photos} photos" if (data / PHOTOS).is_dir() else f"{plan.photos} drawn pictures",
    }
    if known is not None:
        found["plans"] = [
            row for one in subjects if one.is_trained for row in pi4.planned(one, pictures, plan.links, work, say=say)
        ]
    if reason := slow_core.why_not():
        left_out.append(f"The emulated device: {reason}.")
    else:
        shown = sorted(pictures.glob("*/*"))[: plan.photos]
        given = Round(rivals=rivals(known), links=plan.links, pictures=shown, frames=plan.frames)
        found |= _measure(subjects, given, say=say)
    return {**found, "left_out": left_out}


def _measure(subjects: Sequence[Subject], given: Round, *, say: Say) -> dict[str, Any]:
    share, found, told = None, [], None
    for one in subjects:
        rows, calibration = pi4.measure(one, given, share, say=say)
        found += rows
        if calibration is not None:
            share, told = calibration.share, {"network": one.name, **asdict(calibration)}
    return {"rows": found, "calibration": told}


def _subject(name: str, known: Trained | None, pictures: Path, work: Path) -> Subject:
    """The trained bundle itself where it is of that network, else one with random weights behind the trained head."""
    if name == "MobileNetV2" and known is not None:
        return Subject(name=name, bundle=known.bundle.resolve(), is_trained=True)
    model, cut = MODELS[name]
    head = None if known is None else known.bundle
    output = work / f"{name}-{'drawn' if head is None else 'trained'}.isthmus"
    return Subject(name=name, bundle=bundles.make(model, cut, pictures, output, head).resolve())


def _photos(folder: Path, data: Path, count: int) -> Path:
    """Photos that were kept for validation, spread over the classes, as an image folder; drawn ones where there are none."""
    if not folder.exists():
        photos = clothing(data) if (data / PHOTOS).is_dir() else drawn(10 * count)
        kept = photos.official.nonzero()[0]
        photos.write_folder(kept[:: max(1, len(kept) // count)], folder)
    return folder


def rivals(known: Trained | None) -> list[Rival]:
    """Pictures that are as good as the split."""
    return list(UNTRAINED) if known is None else [_rival(one) for one in stand_ins(known.answered)]


def _rival(one: Answered) -> Rival:
    side, quality = one.side_and_quality
    return Rival(codec=one.name, side=side, quality=quality, network=one.network)


def sizes(subject: Subject) -> dict[str, Any]:
    """Bytes and work of the head beside the whole network."""
    bundle = open_bundle(subject.bundle)
    manifest = bundle.manifest
    held = {name: bundle.path(name).stat().st_size for name in FILES if bundle.has(name)}
    work = {"head_flops": manifest.head.flops, "whole_flops": manifest.whole.flops}
    weights = {"head_parameters": manifest.head.parameters, "whole_parameters": manifest.whole.parameters}
    return {"network": subject.name, "files": held, **work, **weights, "payload_bytes": manifest.points[0].bytes_mean}
