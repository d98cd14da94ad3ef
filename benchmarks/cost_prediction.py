"""How far predicted costs are from published ones: a Raspberry Pi 4, one thread, from this machine.

    python benchmarks/cost_prediction.py [--detector FastestDet.onnx] [--json PATH]

Networks with random weights, built by transformers from their configurations, and FastestDet where its file is named. Each runs
here under onnxruntime's profiler; of every kernel the fastest run counts, for other programs only ever make it slower. The
published times are those of ncnn's authors (Tencent/ncnn, benchmark/README.md, "Raspberry Pi 4 Model B ... 1.8GHz", one thread,
minimum). Another runtime has other kernels, Winograd's convolutions among them. One factor of the model is fitted to these five
(`devices.cost.prediction.KEPT`): this shows how far such estimates scatter, not that they are right.
"""

import argparse
import datetime
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from isthmus.devices.cost import speed
from isthmus.devices.cost.kernel import Kernel, read_recording
from isthmus.devices.cost.prediction import predict
from isthmus.devices.cost.table import CostTable, Device, NetworkCost, Seconds
from isthmus.devices.detect import detect
from isthmus.devices.profiles import catalog
from isthmus.devices.runtime import Network

PUBLISHED_MS = {"mobilenet": 123.76, "mobilenet_v2": 92.98, "resnet18": 190.80, "resnet50": 533.15, "FastestDet": 52.11}
RUNS = 40


def build(folder: Path) -> dict[str, Path]:
    import torch
    import transformers

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    resnet = transformers.ResNetConfig
    models = {
        "mobilenet": transformers.MobileNetV1ForImageClassification(transformers.MobileNetV1Config(num_labels=1000)),
        "mobilenet_v2": transformers.MobileNetV2ForImageClassification(transformers.MobileNetV2Config(num_labels=1000)),
        "resnet18": transformers.ResNetForImageClassification(
            resnet(depths=[2, 2, 2, 2], layer_type="basic", hidden_sizes=[64, 128, 256, 512], num_labels=1000)
        ),
        "resnet50": transformers.ResNetForImageClassification(resnet(num_labels=1000)),
    }

    class Logits(torch.nn.Module):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return self.model(pixel_values=picture).logits

    for name, model in models.items():
        picture = torch.rand(1, 3, 224, 224)
        torch.onnx.export(Logits(model.eval()), (picture,), folder / f"{name}.onnx", opset_version=18, dynamo=True, verbose=False)
    return {name: folder / f"{name}.onnx" for name in models}


def fastest_kernels(path: Path, folder: Path) -> tuple[Kernel, ...]:
    network = Network.load(path, record=folder / path.stem)
    random = np.random.default_rng(0)
    feeds = {port.name: random.random([size or 1 for size in port.shape]).astype(port.dtype) for port in network.inputs}
    for _ in range(RUNS):
        network.run(feeds)
    return read_recording(network.recorded().read_text(encoding="utf-8"), skip=3, typical=min)


def table_of(kernels: tuple[Kernel, ...], one_core: speed.Speed) -> CostTable:
    total = sum(kernel.seconds for kernel in kernels)
    cost = NetworkCost(total=Seconds(value=total, low=total, high=total), kernels=kernels)
    device = Device(
        profile="here",
        cpu_model="here",
        architecture="here",
        threads=1,
        provider="CPUExecutionProvider",
        onnxruntime="here",
        speed=one_core,
    )
    return CostTable(
        kind="measured",
        bundle="",
        contract_digest="",
        created="",
        device=device,
        stages={},
        networks={"whole.onnx": cost},
        steady=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        networks = build(Path(name)) | ({"FastestDet": options.detector} if options.detector else {})
        one_core = speed.measure()
        for network, path in networks.items():
            table = table_of(fastest_kernels(path, Path(name)), one_core)
            found = predict(table, catalog.load("rpi4"), created="").networks["whole.onnx"].total
            here = table.networks["whole.onnx"].total.value
            rows.append({"network": network, "here_ms": here * 1e3, "predicted_ms": found.value * 1e3, "low_ms": found.low * 1e3})
            rows[-1] |= {"high_ms": found.high * 1e3, "published_ms": PUBLISHED_MS[network]}
            rows[-1]["ratio"] = rows[-1]["predicted_ms"] / PUBLISHED_MS[network]
    shown = Table("network", "here ms", "predicted ms", "from to", "published ms", "ratio")
    for row in rows:
        bounds = f"{row['low_ms']:.0f} to {row['high_ms']:.0f}"
        times = (
            f"{row['here_ms']:.1f}",
            f"{row['predicted_ms']:.0f}",
            bounds,
            f"{row['published_ms']:.0f}",
            f"{row['ratio']:.2f}",
        )
        shown.add_row(row["network"], *times)
    Console(width=120).print(shown)
    if options.json:
        meta = {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "cpu": detect().cpu_model,
            "speed": one_core.model_dump(),
        }
        options.json.write_text(json.dumps({"meta": meta, "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
