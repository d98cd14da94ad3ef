"""Points of the split: exported as a user would, then asked as a device and a server would."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.headline.plan import CUT, Point

from isthmus.codec import tables
from isthmus.codec.codec import Codec, offered
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.contract.prepare import prepare
from isthmus.devices.golden import HEAD, INT8_HEAD
from isthmus.devices.runtime import Network
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.training import recipe as recipes
from isthmus.export.training.distill import Progress, TrainingSettings

FILE = "bundle.isthmus"
TAIL = "tail.onnx"


def make(teacher: Path, data: Path, point: Point, epochs: float, output: Path, tell: Callable[[float, str], None]) -> Bundle:
    """Export a bottleneck of the teacher, going on from a checkpoint where there is one.

    Raises:
        KeyboardInterrupt: after Ctrl-C, although the exporter would be content with what was learned so far.
    """
    settings = ExportSettings(
        cut=CUT,
        channels=point.channels,
        bits=point.bits,
        data=data,
        preprocess="imagenet",
        training=TrainingSettings(
            recipe=recipes.load(point.recipe).model_copy(update={"epochs": epochs}),
            rate_weight=point.rate_weight,
            target_bytes=point.target_bytes,
            nested=point.nested or None,
            seed=point.seed,
        ),
        resume=output.with_suffix(".checkpoint").exists(),
    )

    def show(progress: Progress) -> None:
        told = "" if progress.loss is None else f", loss {progress.loss:.3f}"
        tell(progress.step / max(1, progress.steps), f"{progress.stage} {progress.step} of {progress.steps}{told}")

    made = export(str(teacher), output, settings, on_step=lambda words: tell(0.0, words), on_progress=show)
    if made.learned is not None and made.learned.interrupted:
        output.unlink(missing_ok=True)
        raise KeyboardInterrupt
    return made.bundle


@dataclass(slots=True, kw_only=True, eq=False)
class Ends:
    """Head, codec and tail of a bundle, ready to run.

    Attributes:
        head, tail: networks.
        codec: of all operating points.
        bundle: they are of.
    """

    head: Network
    tail: Network
    codec: Codec
    bundle: Bundle

    @classmethod
    def of(cls, path: Path, head: str) -> "Ends":
        """Load those of a bundle with one of its heads."""
        bundle = open_bundle(path)
        found = tables.of_bundle(bundle)
        codec = Codec(bundle.manifest.boundary, bundle.manifest.points, offered(found), tables=found)
        return cls(head=Network.of_bundle(bundle, head), tail=Network.of_bundle(bundle, TAIL), codec=codec, bundle=bundle)

    def codes(self, prepared: np.ndarray) -> list[np.ndarray]:
        """Of one prepared photo: array[channel, row, column] each."""
        said = self.head.run({self.bundle.manifest.input.name: prepared})
        return [said[tensor.name][0] for tensor in self.bundle.manifest.boundary.tensors]

    def answer(self, picture: np.ndarray, point: int) -> tuple[np.ndarray, int]:
        """float32[class] and the bytes of the payload at an operating point; it is decoded again as the server does."""
        preparation = self.bundle.manifest.preparation
        assert preparation is not None
        return self.answer_codes(self.codes(prepare(picture, preparation)), point)

    def answer_codes(self, codes: Sequence[np.ndarray], point: int) -> tuple[np.ndarray, int]:
        """The same from the codes of a photo, array[channel, row, column] each, of all channels."""
        payload = self.codec.encode(codes, point=point)
        tensors = self.bundle.manifest.boundary.tensors
        feeds = {one.name: codes[None] for one, codes in zip(tensors, self.codec.decode(payload, point=point), strict=True)}
        return self.tail.run(feeds)[self.bundle.manifest.outputs[0].name][0], len(payload)


def heads(path: Path) -> list[tuple[str, str]]:
    """Variant and file of the heads that a bundle carries, the one that a device runs first."""
    bundle = open_bundle(path)
    return [(variant, file) for variant, file in (("int8", INT8_HEAD), ("float", HEAD)) if bundle.has(file)]


def ask(ends: Ends, pictures: Sequence[np.ndarray], point: int, tell: Callable[[float], None]) -> tuple[np.ndarray, np.ndarray]:
    """float32[n, class] and int64[n] bytes at an operating point."""
    said = []
    for index, picture in enumerate(pictures):
        said.append(ends.answer(picture, point))
        if index % 32 == 0:
            tell(index / len(pictures))
    return np.stack([logits for logits, _ in said]), np.array([size for _, size in said], dtype=np.int64)
