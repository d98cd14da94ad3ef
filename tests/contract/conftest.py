"""A manifest and the files of a bundle, small and without any network that runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.contract.bundle import Bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.manifest import Cut, Manifest, Port, Side
from isthmus.contract.prepare import Preparation

MakeManifest = Callable[..., Manifest]
MakeBundle = Callable[[Path], Bundle]

CONTENT = {
    "head.onnx": b"head network",
    "tail.onnx": b"tail network" * 1000,
    "golden.npz": b"golden frames",
    "parts/tail.onnx.data": bytes(range(256)) * 8,
    "evaluation.json": b'{"meta": {}, "rows": []}\n',
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_manifest() -> MakeManifest:
    """A function that makes a valid manifest; keyword arguments replace fields."""

    def make(**changed: object) -> Manifest:
        fields: dict[str, object] = {
            "id": "digits",
            "files": {},
            "opset": 17,
            "onnxruntime_min": "1.20",
            "input": Port(name="image", datatype="FP32", shape=(None, 1, 28, 28)),
            "preparation": Preparation(width=28, height=28, colour="grey", mean=(0.5,), standard_deviation=(0.25,)),
            "outputs": (Port(name="logits", datatype="FP32", shape=(None, 10)),),
            "boundary": Boundary(tensors=(CodeTensor(name="codes", shape=(4, 7, 7), bits=4),)),
            "bottleneck": "learned",
            "points": (OperatingPoint(name="full", channels=(4,)), OperatingPoint(name="half", channels=(2,))),
            "cut": Cut(tensors=("relu_3",), operator="Relu", flops_share=0.25, replaces_head=False),
            "head": Side(flops=1000, parameters=100),
            "tail": Side(flops=9000, parameters=900),
            "whole": Side(flops=10000, parameters=1000),
        }
        return Manifest.model_validate({**fields, **changed})

    return make


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Path]:
    """Name in the bundle -> a file with that content."""
    files = {}
    for number, (name, data) in enumerate(CONTENT.items()):
        files[name] = tmp_path / f"source-{number}"
        files[name].write_bytes(data)
    return files


@pytest.fixture
def make_bundle(make_manifest: MakeManifest, content: dict[str, Path]) -> MakeBundle:
    """A function that writes the bundle to a path."""
    return lambda target: write_bundle(target, make_manifest(), content)
