"""Made-up costs and figures: a network that a device takes 60 ms for, on a server ten times as fast."""

import json

import pytest

from isthmus.bench.planning import figures
from isthmus.bench.planning.sides import Sides
from isthmus.contract.metric import proportion
from isthmus.devices.cost import table as tables
from isthmus.devices.cost.kernel import Kernel
from isthmus.devices.cost.speed import Speed
from isthmus.devices.cost.table import CostTable, CutCost, Device, NetworkCost, Payload, Seconds
from isthmus.devices.profiles import catalog

DEVICE_MS = {"prepare": 1.0, "head": 3.0, "encode all": 0.5, "encode half": 0.4, "local": 60.0, "round trip split": 1.0}
DEVICE_MS |= {"round trip offload": 1.0, "encode jpeg-75": 2.0, "encode webp-50": 9.0}
SERVER_MS = {"server decode all": 0.2, "server decode half": 0.1, "server decode jpeg-75": 1.0, "server decode webp-50": 1.0}
PAYLOADS = {name: Payload(mean=mean, median=0.9 * mean) for name, mean in (("all", 400.0), ("half", 200.0), ("jpeg-75", 9000.0))}


def seconds(value_ms):
    return Seconds(value=value_ms / 1e3, low=value_ms / 1.1e3, high=value_ms / 0.9e3)


def network(value_ms):
    kernel = Kernel(name="conv", operator="Conv", provider="cpu", seconds=value_ms / 1e3, flops=10**9, moved_bytes=10**6)
    return NetworkCost(total=seconds(value_ms), kernels=(kernel,))


def table(digest, *, speedup=1.0, profile="x86-64", **changes):
    stages = {name: seconds(spent / speedup) for name, spent in (DEVICE_MS | SERVER_MS).items()}
    networks = {"whole.onnx": network(60 / speedup), "tail.onnx": network(50 / speedup), "head.onnx": network(3 / speedup)}
    device = Device(
        profile=profile,
        cpu_model=f"Example {speedup:g}",
        architecture="x86_64",
        threads=1,
        provider="CPUExecutionProvider",
        onnxruntime="1.32.0",
        speed=Speed(flops_per_s=144e9, bytes_per_s=25.6e9),
    )
    before = 12.0 / speedup
    cut = {"index": 3, "tensors": ("b",), "bytes": 4000, "values": 1000, "flops_share": 0.2}
    return CostTable(
        kind="measured",
        bundle="tiny",
        contract_digest=digest,
        created="today",
        device=device,
        stages=stages,
        payload_bytes=PAYLOADS,
        networks=networks,
        cuts=(CutCost.model_validate(cut | {"before": seconds(before), "after": seconds(60 / speedup - before)}),),
        cut_error=0.02,
        steady=True,
    ).model_copy(update=changes)


def evaluated(digest, *, pictures=True, split=0.9, jpeg=0.9):
    def row(kind, name, setting, size, value):
        metric = proportion("accuracy", round(1000 * value), 1000).model_dump()
        return {kind: name, "setting": setting, "bytes_mean": size, "metric": metric, "device_mmac": 1.0, "device_ms": None}

    rows = [row("point", "all", "pca 8ch", 420.0, split), row("point", "half", "pca 4ch", 210.0, split - 0.1)]
    rows += [row("rival", "local", "whole", 0.0, 0.9)]
    if pictures:
        rows += [row("rival", "jpeg", "q75", 9100.0, jpeg), row("rival", "webp", "q50", 3100.0, jpeg - 0.005)]
    return {"meta": {"contract_digest": digest, "data": "drawn", "samples": 1000}, "rows": rows}


@pytest.fixture
def make_table():
    """A function that makes the costs of a bundle by its digest; `speedup` divides all times, others are fields."""
    return table


@pytest.fixture
def make_evaluation(tmp_path):
    """A function that writes what `isthmus evaluate --json` would print of a bundle."""

    def make(bundle, **how):
        path = tmp_path / "evaluated.json"
        path.write_text(json.dumps(evaluated(bundle.digest, **how)), encoding="utf-8")
        return path

    return make


@pytest.fixture
def make_known(make_evaluation):
    """A function that gives figures and costs of a bundle: a Raspberry Pi's, and those of a server ten times as fast."""

    def make(bundle, **how):
        device = table(bundle.digest, profile="rpi4")
        server = table(bundle.digest, speedup=10)
        sides = Sides(device=device, profile=catalog.load("rpi4"), server=server, is_same=False)
        return figures.read(bundle, make_evaluation(bundle, **how)), sides

    return make


@pytest.fixture
def planned_bundle(make_tiny_bundle):
    """A bundle with the costs of this machine beside it."""
    bundle = make_tiny_bundle()
    path = tables.path_beside(bundle.origin)
    path.write_text(table(bundle.digest).model_dump_json(), encoding="utf-8")
    return bundle
