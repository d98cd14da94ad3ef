"""Cut a network in two, save both halves, and run them one after the other with nothing but onnxruntime.

python examples/split_a_model.py halves/
"""

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch import nn

from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.doors.opening import open_model


def build() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A small classifier of pictures of 32 x 32; yours comes from wherever you have it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3, stride=2, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(8, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*layers), (torch.rand(2, 3, 32, 32),)


def load(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def main(folder: Path) -> None:
    source = open_model(f"{Path(__file__).stem}:build")  # or the path of an ONNX file
    places = cuts.enumerate(source.model)
    for cut in places:
        print(f"{cut.index:3} {', '.join(cut.tensors):20} {cut.bytes:6} B after {cut.flops_share:6.1%} of the FLOPs")

    cut = cuts.find(places, "auto")
    halves = split(source.model, cut)
    folder.mkdir(parents=True, exist_ok=True)
    ir.save(halves.head, folder / "head.onnx")
    ir.save(halves.tail, folder / "tail.onnx")

    head, tail = load(folder / "head.onnx"), load(folder / "tail.onnx")
    pictures = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    names = [value.name for value in head.get_outputs()]
    crossing = dict(zip(names, head.run(None, {head.get_inputs()[0].name: pictures}), strict=True))
    (answer,) = tail.run(None, crossing)
    with torch.no_grad():
        wanted = source.torch_module(torch.from_numpy(pictures)).numpy()
    print(f"cut at {', '.join(cut.tensors)}; head then tail differ from torch by {np.abs(answer - wanted).max():.1e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
