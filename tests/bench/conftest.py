"""Made-up results: plausible in shape, measured by nobody."""

import numpy as np
import pytest

from isthmus.bench.change import Change
from isthmus.bench.cold_start import ColdStart
from isthmus.bench.comparison import CellComparison, Comparison
from isthmus.bench.content import Fact, Moment, Outcome, ReportContent, Timeline
from isthmus.bench.evaluation import Evaluation, Rated
from isthmus.bench.prediction import Predicted
from isthmus.bench.results import Row, percentiles
from isthmus.contract.manifest import Gate
from isthmus.contract.metric import proportion

LINK = "1mbit/20ms"
SERVER = {"server queue": 0.1, "server decode": 0.2}


def outcome(placement: str, setting: str, right: int, payload: float, stages_ms: dict[str, float], *, seed: int) -> Outcome:
    """One row whose latencies scatter around the sum of its stages."""
    random = np.random.default_rng(seed)
    latencies = sum(stages_ms.values()) * random.lognormal(0, 0.12, 700) + random.exponential(0.5, 700)
    row = Row(
        placement=placement,
        setting=setting,
        link=LINK if payload else None,
        point=setting if placement == "split" else None,
        frames=6000,
        answered=700,
        dropped={"gate": 2210, **({"deadline": 3} if placement == "offload" else {})},
        recall=0.9969,
        bytes_payload_mean=payload,
        bytes_wire_mean=payload * 1.08 + 190 if payload else 0,
        latency_ms=percentiles(latencies),
        stages_ms=stages_ms,
        metric=proportion("accuracy", right, 712),
    )
    return Outcome(row=row, latencies_ms=latencies)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Local, two picture settings and the split, over one link."""
    return [
        outcome("local", "", 697, 0, {"gate": 0.21, "prepare": 0.4, "head": 7.3}, seed=1),
        outcome(
            "offload", "jpeg-75", 689, 9100, {"gate": 0.2, "encode": 1.1, "network": 97, **SERVER, "server compute": 7.6}, seed=2
        ),
        outcome(
            "offload", "webp-50", 671, 2900, {"gate": 0.2, "encode": 8.9, "network": 45, **SERVER, "server compute": 7.9}, seed=3
        ),
        outcome(
            "split",
            "full",
            693,
            214,
            {"gate": 0.2, "prepare": 0.4, "head": 0.62, "encode": 0.05, "network": 23.4, **SERVER, "server compute": 6.9},
            seed=4,
        ),
    ]


@pytest.fixture
def timeline() -> Timeline:
    """A hundred seconds at 60 frames a second, with digits that come and go."""
    random = np.random.default_rng(7)
    moments = []
    for sequence in range(6000):
        shown = (sequence // 55) % 3 != 2
        passed = shown or random.random() < 0.08
        answered = passed and random.random() < 0.985
        correct = (bool(random.random() < 0.97) if sequence % 55 > 3 else None) if answered else None
        moments.append(Moment(sequence=sequence, shown=shown, gate_open=passed, answered=answered, correct=correct))
    return Timeline(moments=moments, frames_per_s=60.0, subject="digit", summary="Test data: 6000 frames at 60 frames/s.")


def rated(series: dict[str, object], *places: tuple[float, float], setting: str = "") -> list[Rated]:
    """Rows of an evaluation: (bytes, accuracy) each."""
    return [
        Rated.model_validate(
            {"setting": f"q{index}{setting}", "bytes_mean": size, "metric": proportion("accuracy", round(value * 682), 682)}
            | series
        )
        for index, (size, value) in enumerate(places)
    ]


@pytest.fixture
def evaluation() -> Evaluation:
    """Three operating points, two formats at two sizes, two networks on the device."""
    curves = {"jpeg": (970, 0.855), "webp": (504, 0.805)}
    rows = [
        *rated({"point": "full", "device_ms": 0.34}, (441, 0.925)),
        *rated({"point": "half", "device_ms": 0.34}, (227, 0.897)),
        *rated({"rival": "local", "setting": "whole", "device_ms": 4.6}, (0, 0.938)),
        *rated({"rival": "local", "setting": "local.onnx", "device_ms": 0.9}, (0, 0.897)),
    ]
    for rival, (size, value) in curves.items():
        rows += rated({"rival": rival}, *[(size * 1.9**step, min(0.935, value + 0.035 * step)) for step in range(5)])
        rows += rated(
            {"rival": rival}, *[(size * 2**step / 3, value + 0.02 * step - 0.1) for step in range(5)], setting="@224x224"
        )
    return Evaluation(meta={"data": "test data, 682 pictures", "rivals": "not adapted to compression"}, rows=tuple(rows))


@pytest.fixture
def comparison(outcomes: list[Outcome]) -> Comparison:
    """One cell that became slower beyond chance, and one that did not."""
    slower = Change(name="latency_ms.p50", before=25.0, after=30.0, low=3.5, high=6.5)
    same = Change(name="latency_ms.p95", before=8.0, after=8.1, low=-0.3, high=0.5)
    cells = [CellComparison(row=outcomes[3].row, changes=(slower,)), CellComparison(row=outcomes[0].row, changes=(same,))]
    return Comparison(before="monday", after="friday", cells=tuple(cells), differs=(), unsteady=())


@pytest.fixture
def content(outcomes: list[Outcome], timeline: Timeline, evaluation: Evaluation, comparison: Comparison) -> ReportContent:
    """A report with every part filled."""
    return ReportContent(
        title="Isthmus demo: digits on a belt",
        created="Test data, measured by nobody",
        banner="A smoke test on a small task. It shows that the parts work together on this machine; it is no evidence "
        "for what a split can do.",
        warnings=("This run is unsteady, a trial and no result: it was hot.",),
        summary=(Fact(name="Scenario", value="single-stream"), Fact(name="Frames", value="6,000, up to 700 answered")),
        evaluation=evaluation,
        comparison=comparison,
        predicted=(Predicted(name="split full", predicted_ms=33.0, measured_ms=31.9),),
        conditions=(Fact(name="Temperature", value="41 to 44 °C"), Fact(name="Throttling", value="watched")),
        cold=(ColdStart(program="serve", ready_s=(0.9, 1.0), first_answer_s=(1.2, 1.3)),),
        verdict=(
            "On this link the split answers 2.3 times as fast as WebP and sends 14 times fewer bytes, at the accuracy of JPEG.",
            "The device alone is faster still (7.9 ms, no bytes): for a network this small, do not split.",
        ),
        outcomes=outcomes,
        reference=proportion("accuracy", 698, 712),
        timeline=timeline,
        bundle=(
            Fact(name="Bundle", value="demo 1, 1.92 MB"),
            Fact(name="Contract digest", value="a44c0b668e00c03b1f78d0de2c19f1d5e208756866d5be462af77b603a3e2083"),
            Fact(name="What crosses", value="codes 4x12x16 of 4 bits"),
        ),
        files={"head.onnx": 41_300, "tail.onnx": 612_000, "whole.onnx": 1_201_000, "golden.npz": 66_120},
        gates=(
            Gate(name="imported ONNX equals torch", value=1.3e-6, limit=1e-4, detail="batch 1 and 3"),
            Gate(name="head then tail equals the whole", value=2.1e-7, limit=1e-4),
            Gate(name="changed codes", value=0.0, limit=0.005),
        ),
        machine=(
            Fact(name="CPU", value="Example CPU 2000, 2 cores used, x86_64"),
            Fact(name="Memory", value="8.2 GB"),
            Fact(name="onnxruntime", value="1.32.0 (CPUExecutionProvider)"),
        ),
        commands=("pip install 'isthmus[all]'", f"isthmus demo -o {'a-long-name/' * 30}"),
        notes=(
            "Latency counts from capture to answer, on the device's monotonic clock; clocks of two machines are never compared.",
            "Wire bytes are counted by the link shaper, both ways.",
            "Energy: not measured.",
        ),
    )
