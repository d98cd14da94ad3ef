"""Make a bundle of a network and check it as the machine that loads it will; nothing is trained.

python examples/export_a_bundle.py model.isthmus
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from isthmus.contract.bundle import open_bundle
from isthmus.devices import golden
from isthmus.devices.runtime import Network
from isthmus.export.exporter import export
from isthmus.export.settings import ExportSettings


def build() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A small classifier of pictures of 32 x 32; yours comes from wherever you have it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3, stride=2, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(8, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*layers), (torch.rand(2, 3, 32, 32),)


def write_pictures(path: Path) -> None:
    """Noise in place of the pictures that the network will see: they choose the steps of the codes."""
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    np.savez(path, images=images)


def main(output: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures.npz"
        write_pictures(pictures)
        settings = ExportSettings(bottleneck="pca", channels=4, bits=6, data=pictures)
        made = export(f"{Path(__file__).stem}:build", output, settings, on_step=print)
    for gate in made.bundle.manifest.gates:
        print(f"{gate.name}: {gate.value:.2g}, at most {gate.limit:g}")

    bundle = open_bundle(output)  # checks every digest
    frames = golden.read(bundle)
    golden.check_codec(bundle, frames)
    golden.check_head(bundle, frames, Network.load(bundle.path("head.onnx")))
    golden.check_tail(bundle, frames, Network.load(bundle.path("tail.onnx")))
    points = ", ".join(f"{point.name} {point.bytes_mean:.0f} B a frame" for point in bundle.manifest.points)
    print(f"{output} is sound: cut at {', '.join(made.cut.tensors)}; {points}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
