"""Accuracy and real bytes of a bundle beside its rivals, on the same pictures. What accuracy is, `export.judging` says.

Rivals (`export.rivals`) are what a user has without Isthmus: the whole network on the device, and the picture itself, compressed,
into the unsplit network. They go into the network as it is; a network trained on compressed pictures would lose less, so this
table flatters the split and says so in its meta.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from isthmus.codec import tables
from isthmus.codec.codec import Codec, names, offered
from isthmus.codec.payload import Mode
from isthmus.codec.predictive import IS_FAST
from isthmus.contract.bundle import Bundle
from isthmus.contract.metric import Metric
from isthmus.contract.prepare import Preparation, fit, prepare
from isthmus.devices.golden import HEAD, INT8_HEAD, LOCAL
from isthmus.devices.runtime import Network
from isthmus.errors import ExportError
from isthmus.export import rivals as known
from isthmus.export.judging import Answer, Judge, judge_of
from isthmus.export.samples import Samples

HEADS = {INT8_HEAD: "int8 head", HEAD: "float head"}
"""Files of heads and how they are called, in the order in which a device prefers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        kind: `point` (of the bundle) or `rival`.
        name: of the point or the rival.
        setting: picture quality and the like.
        bytes_mean: payload for one picture.
        metric: accuracy, or agreement with the unsplit network where there are no labels; of boxes whose truth is known AP50.
        further: figures beside it, AP where the metric is AP50.
        device_mmac: million multiply-adds on the device.
        head: of a point, the file of its head; empty for a rival.
        device_ms: median time of the device's network, one thread; None where it runs none.
    """

    kind: str
    name: str
    setting: str
    bytes_mean: float
    metric: Metric
    device_mmac: float
    device_ms: float | None
    head: str = ""
    further: tuple[Metric, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As in `evaluation.json`."""
        return {
            self.kind: self.name,
            "setting": self.setting,
            "bytes_mean": round(self.bytes_mean, 1),
            "metric": self.metric.model_dump(),
            **({"further": [one.model_dump() for one in self.further]} if self.further else {}),
            "device_mmac": round(self.device_mmac, 3),
            "device_ms": None if self.device_ms is None else round(self.device_ms, 4),
        }


def evaluate(
    bundle: Bundle,
    samples: Samples,
    rivals: Iterable[str] = ("jpeg", "webp", "local"),
    *,
    on_step: Callable[[str], None] = lambda _words: None,
) -> list[Row]:
    """Measure every operating point and rival.

    Args:
        bundle: a vision bundle: a classifier or a detector.
        samples: pictures as they come from the camera. Without labels, and for detectors without true boxes, agreement with the
            unsplit network is measured.
        rivals: of `rivals.KNOWN`.
        on_step: told in words what is being measured.

    Raises:
        ExportError: the bundle takes no pictures or lacks the whole network, or the labels do not fit.
    """
    manifest = bundle.manifest
    if manifest.preparation is None or not bundle.has("whole.onnx"):
        raise ExportError(f"{bundle.origin} takes no pictures or lacks whole.onnx; it cannot be evaluated")
    task = _Task(bundle, samples, manifest.preparation, judge_of(bundle, samples))
    task.release()
    rows: list[Row] = []
    for head_file in _heads(bundle):
        names = ", ".join(point.name for point in manifest.points)
        on_step(f"point {names}{_called(bundle, head_file)}")
        rows.extend(_points(bundle, samples, task, head_file))
    if known.LOCAL in rivals:
        on_step("rival local")
        mmac = manifest.whole.flops / 2e6
        rows.append(_row("rival", "local", "whole", 0.0, task.score(task.whole_answers), mmac, task.whole_ms))
        if manifest.local is not None:
            own = _Task(bundle, samples, manifest.preparation, task.judge, LOCAL)
            own.release()
            mmac = manifest.local.flops / 2e6
            rows.append(_row("rival", "local", LOCAL, 0.0, task.score(own.whole_answers), mmac, own.whole_ms))
    for name in rivals:
        for quality in known.QUALITIES.get(name, ()):
            on_step(f"rival {name} {quality}")
            rows.extend(_pictures(samples, task, name, quality))
    return rows


def as_results(bundle: Bundle, samples: Samples, rows: Iterable[Row], command: str) -> dict[str, Any]:
    """`{"meta", "rows"}` as in every result of the command line."""
    meta = {
        "bundle": bundle.manifest.id,
        "contract_digest": bundle.digest,
        "data": samples.origin,
        "samples": len(samples),
        "metric": judge_of(bundle, samples).words,
        "payloads": _payloads(bundle),
        "rivals": "pictures go into the unsplit network as it is, not adapted to compression",
        "command": command,
    }
    return {"meta": meta, "rows": [row.as_json() for row in rows]}


def _payloads(bundle: Bundle) -> str:
    """Which payloads of points were counted, in words; every picture is one by itself, so none is `temporal`."""
    found = tables.of_bundle(bundle)
    counted = names(mode for mode in offered(found) if mode is not Mode.TEMPORAL)
    missing = "" if Mode.INTRA not in found.modes or IS_FAST else "; intra would need the codec's C core, which is not built here"
    return f"key frames, the shortest of {counted}{missing}"


class _Task(Generic[Answer]):
    """A whole network, the unsplit one unless another is named, and what it says to every picture."""

    def __init__(
        self, bundle: Bundle, samples: Samples, preparation: Preparation, judge: Judge[Answer], file: str = "whole.onnx"
    ) -> None:
        self._path = bundle.path(file)
        self._loaded: Network | None = None
        self.preparation = preparation
        self.judge = judge
        self._input = bundle.manifest.input.name
        self._durations_s: list[float] = []
        self.whole_answers = [self.answer(picture) for picture in samples.pictures]
        self.whole_ms = float(np.median(self._durations_s)) * 1e3

    def answer(self, picture: np.ndarray) -> Answer:
        """What the unsplit network says."""
        network = self._loaded = self._loaded or Network.load(self._path)
        prepared = prepare(picture, self.preparation)
        started = time.perf_counter()
        outputs = network.run({self._input: prepared})
        self._durations_s.append(time.perf_counter() - started)
        return self.judge.read(outputs)

    def release(self) -> None:
        """Give back the network's memory; it is loaded again when another picture comes."""
        self._loaded = None

    def score(self, answers: Sequence[Answer]) -> tuple[Metric, ...]:
        """How good answers to all pictures are."""
        return self.judge.score(answers, self.whole_answers)


def _points(bundle: Bundle, samples: Samples, task: _Task[Answer], head_file: str) -> list[Row]:
    """Every operating point with one of the heads, which sees each picture once."""
    manifest = bundle.manifest
    assert manifest.preparation is not None
    head, tail = Network.of_bundle(bundle, head_file), Network.of_bundle(bundle, "tail.onnx")
    found = tables.of_bundle(bundle)
    codec = Codec(manifest.boundary, manifest.points, offered(found), tables=found)
    durations: list[float] = []
    answers: list[list[Answer]] = [[] for _ in manifest.points]
    sizes: list[list[int]] = [[] for _ in manifest.points]
    for picture in samples.pictures:
        prepared = prepare(picture, manifest.preparation)
        started = time.perf_counter()
        codes = head.run({manifest.input.name: prepared})
        durations.append(time.perf_counter() - started)
        for index in range(len(manifest.points)):
            payload = codec.encode([codes[tensor.name][0] for tensor in manifest.boundary.tensors], point=index)
            sizes[index].append(len(payload))
            sent = codec.decode(payload, point=index)
            feeds = {tensor.name: array[None] for tensor, array in zip(manifest.boundary.tensors, sent, strict=True)}
            answers[index].append(task.judge.read(tail.run(feeds)))
    mmac, head_ms = manifest.head.flops / 2e6, float(np.median(durations)) * 1e3
    return [
        _row(
            "point",
            point.name,
            f"{manifest.bottleneck} {'+'.join(map(str, point.channels))}ch{_called(bundle, head_file)}",
            float(np.mean(sizes[index])),
            task.score(answers[index]),
            mmac,
            head_ms,
            head_file,
        )
        for index, point in enumerate(manifest.points)
    ]


def _heads(bundle: Bundle) -> list[str]:
    """The heads that a bundle carries, the one that the device runs first."""
    return [name for name in HEADS if bundle.has(name)]


def _called(bundle: Bundle, head_file: str) -> str:
    """What tells one head from the other, where there are two."""
    return f", {HEADS[head_file]}" if len(_heads(bundle)) > 1 else ""


def _pictures(samples: Samples, task: _Task[Answer], format_name: str, quality: int) -> list[Row]:
    """The rival as it comes from the camera and, where that is larger, shrunk to the network's input, as the split does."""
    size = (task.preparation.height, task.preparation.width)
    whole = _picture(samples.pictures, task, format_name, quality, f"q{quality}")
    if all(picture.shape[:2] == size for picture in samples.pictures):
        return [whole]
    fitted = [fit(picture, task.preparation) for picture in samples.pictures]
    return [whole, _picture(fitted, task, format_name, quality, f"q{quality}@{size[1]}x{size[0]}")]


def _picture(pictures: Sequence[np.ndarray], task: _Task[Answer], format_name: str, quality: int, setting: str) -> Row:
    sizes = []
    answers: list[Answer] = []
    for picture in pictures:
        size, arrived = known.sent(format_name, picture, quality)
        sizes.append(size)
        answers.append(task.answer(arrived))
    return _row("rival", format_name, setting, float(np.mean(sizes)), task.score(answers), 0.0, None)


def _row(
    kind: str,
    name: str,
    setting: str,
    size: float,
    metrics: tuple[Metric, ...],
    mmac: float,
    milliseconds: float | None,
    head: str = "",
) -> Row:
    return Row(
        kind=kind,
        name=name,
        setting=setting,
        bytes_mean=size,
        metric=metrics[0],
        further=metrics[1:],
        device_mmac=mmac,
        device_ms=milliseconds,
        head=head,
    )
