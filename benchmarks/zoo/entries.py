"""Which models the table has, in its order. Imports no network library: listing them is quick."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = "file written by others"
RANDOM = "random weights"

LIBRARY = (
    "resnet18",
    "resnet50",
    "regnet_y_4gf",
    "mobilenet_v2",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_small",
    "dinov2_small",
    "swin_tiny",
    "mobilevit_small",
    "segformer_b0",
    "detr_resnet50",
    "yolos_tiny",
    "rt_detr",
    "vitpose_small",
    "depth_anything_small",
    "clip_vision",
    "whisper_tiny_encoder",
    "bert_base",
)
"""Functions of `zoo.architectures`."""

OWN = ("mobilenet_v3_large", "densenet121", "unet")
"""Functions of `zoo.convolutional`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model of the table.

    Attributes:
        name: as the table calls it.
        reference: what a user writes as MODEL in the folder `benchmarks`, or in the data folder for a file.
        kind: `FOREIGN` or `RANDOM`.
        folder: where the reference opens.
        as_folder: open what `save_pretrained` writes of the model instead of the model.
    """

    name: str
    reference: str
    kind: str
    folder: Path
    as_folder: bool = False


def data_folder() -> Path:
    """`ISTHMUS_DATA`, else `shared/data` beside this checkout."""
    return Path(os.environ.get("ISTHMUS_DATA", ROOT.parent / "shared" / "data"))


def files(folder: Path) -> list[Entry]:
    """The ONNX files of others below the data folder; none where it is missing."""
    found = [
        *sorted((folder / "onnx_zoo").glob("*.onnx")),
        *sorted((folder / "detectors").glob("*.onnx")),
        *sorted((folder / "imagenet_mobilenetv2").glob("*.onnx")),
    ]
    return [Entry(name=path.stem, reference=str(path.relative_to(folder)), kind=FOREIGN, folder=folder) for path in found]


def architectures(*, as_folder: bool = False) -> list[Entry]:
    """Networks built from configuration."""
    modules = {"zoo.architectures": LIBRARY, "zoo.convolutional": OWN}
    return [
        Entry(
            name=name,
            reference=f"{module}:{name}",
            kind=RANDOM,
            folder=ROOT / "benchmarks",
            as_folder=as_folder and module == "zoo.architectures",
        )
        for module, names in modules.items()
        for name in names
    ]


def chosen(entries: Sequence[Entry], only: Sequence[str]) -> list[Entry]:
    """The entries with one of these names, or all where none is given; a name nobody has is a KeyError that lists them."""
    known = {entry.name: entry for entry in entries}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise KeyError(f"no model {', '.join(unknown)}; there are {', '.join(known)}")
    return [entry for entry in entries if not only or entry.name in only]
