"""The stages: the network, then for each fold the split at every place and the device alone, and the pictures once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.headline import bundles, folds, onnx_files, sending
from benchmarks.headline.codecs import Setting, resized
from benchmarks.headline.folds import Split
from benchmarks.headline.photos import Photos
from benchmarks.headline.predictions import Predictions, ask
from benchmarks.headline.stages import CONTENDERS, contender
from benchmarks.headline.store import Stage, Store, Work
from benchmarks.imagenet.plan import Place, Scale
from benchmarks.mobilenet import MobileNetV2

from isthmus.contract.prepare import Preparation, prepare
from isthmus.devices.golden import HEAD
from isthmus.export import preprocessing
from isthmus.export.cutting import cuts
from isthmus.export.doors.opening import open_model
from isthmus.export.exporter import ExportSettings, export

ALL = "all"
NETWORK = "float.onnx"
SHARES = "shares"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """The photos, the network and what is made of both.

    Attributes:
        photos: all of them; nothing of the network is learned from them here.
        network: in torch.
        origin: of its weights, for the settings of stages.
        scale: what is made.
    """

    photos: Photos
    network: MobileNetV2
    origin: str
    scale: Scale

    def splits(self) -> list[Split]:
        """What is fitted on the photos of the other folds is reported on those of a fold."""
        of_photo = folds.folds(np.zeros(len(self.photos), dtype=np.int64), self.scale.folds)
        every = np.arange(len(self.photos))
        return [
            Split(name=f"fold{index}", learning=every[of_photo != index], choosing=every[:0], reporting=every[of_photo == index])
            for index in range(self.scale.folds)
        ]

    def stages(self) -> list[Stage]:
        """All of them, in order."""
        made = [self.unsplit()]
        for split in self.splits():
            made += [self.place(split, place) for place in self.scale.places]
            made += [self.local(split, side) for side in self.scale.locals]
        return [*made, *map(self.sent, self.scale.pictures)]

    def preparation(self, side: int | None = None) -> Preparation:
        """Of a photo for the network at an input of `side`."""
        side = side or self.scale.side
        return preprocessing.PRESETS["imagenet"].model_copy(update={"width": side, "height": side})

    def unsplit(self) -> Stage:
        """What the network says to all photos."""

        def work(work: Work) -> Mapping[str, Any]:
            onnx_files.write_float(self.network, self.scale.side, work.folder / NETWORK)
            pictures = self.photos.pictures(np.arange(len(self.photos)))
            said = ask(work.folder / NETWORK, pictures, self.preparation(), lambda part: work.tell(part, "asking"))
            self._save(work.folder / "unsplit.npz", np.arange(len(self.photos)), said)
            found = cuts.enumerate(open_model(str(work.folder / NETWORK)).model)
            shares = {cut.tensors[0]: cut.flops_share for cut in found if cut.is_single}
            return {CONTENDERS: [contender("unsplit", "whole", "float", "unsplit.npz")], SHARES: shares}

        settings = {"weights": self.origin, "photos": self.photos.origin, "side": self.scale.side}
        return Stage(split=ALL, name="unsplit", settings=settings, work=work)

    def place(self, split: Split, place: Place) -> Stage:
        """The split at a place: fitted on the photos of the other folds, asked about those of this one."""

        def work(work: Work) -> Mapping[str, Any]:
            data = work.folder / "photos"
            self._write_photos(split.learning, data)
            settings = ExportSettings(
                cut=place.cut,
                bottleneck=place.bottleneck,
                channels=place.channels,
                bits=place.bits,
                data=data,
                preprocess="imagenet",
                int8="off",
            )
            model = work.store.folder(self.unsplit()) / NETWORK
            bundle = export(str(model), work.folder / bundles.FILE, settings, on_step=lambda words: work.tell(0.0, words)).bundle
            ends = bundles.Ends.of(bundle.origin, HEAD)
            points = [f"{'+'.join(map(str, point.channels))} channels" for point in bundle.manifest.points]
            made = []
            for index, (name, (said, sizes)) in enumerate(zip(points, self._answers(ends, split, work), strict=True)):
                self._save(work.folder / f"{index}.npz", split.reporting, said, sizes)
                setting = f"{place.cut} {place.bottleneck} {name} {place.bits} bits"
                made.append(contender("split", setting, "float", f"{index}.npz", cut=place.cut))
            return {CONTENDERS: made}

        settings = {**asdict(place), "folds": self.scale.folds}
        return Stage(split=split.name, name=place.name, settings=settings, needs=(self.unsplit(),), work=work)

    def local(self, split: Split, side: int) -> Stage:
        """The whole network on the device, in floats and in 8 bits, at a smaller input."""

        def work(work: Work) -> Mapping[str, Any]:
            shown, model = self.preparation(side), work.folder / NETWORK
            onnx_files.write_float(self.network, side, model)
            few = self.photos.pictures(split.learning[:: max(1, len(split.learning) // onnx_files.CALIBRATION_PICTURES)])
            onnx_files.write_int8(model, few, shown, work.folder / "int8.onnx")
            made = []
            for variant in ("float", "int8"):
                said = ask(work.folder / f"{variant}.onnx", self.photos.pictures(split.reporting), shown)
                self._save(work.folder / f"{variant}.npz", split.reporting, said)
                made.append(contender("local", f"{side}px", variant, f"{variant}.npz", share=(side / self.scale.side) ** 2))
            return {CONTENDERS: made}

        settings = {"local": side, "folds": self.scale.folds}
        return Stage(split=split.name, name=f"local {side}px", settings=settings, needs=(self.unsplit(),), work=work)

    def sent(self, setting: Setting) -> Stage:
        """Compressed pictures into the network as it is; nothing is fitted, so that there are no folds."""

        def work(work: Work) -> Mapping[str, Any]:
            file = work.folder / "sent.npz"
            every = np.arange(len(self.photos))
            sending.keep(file, setting, self.photos.pictures(every), self.preparation())
            sent = sending.read(file)
            arrived = [resized(picture, self.scale.side) for picture in sent.pictures()]
            said = ask(work.store.folder(self.unsplit()) / NETWORK, arrived, self.preparation())
            self._save(work.folder / "said.npz", every, said, sent.sizes)
            name = f"{setting.side}px q{setting.quality}"
            return {CONTENDERS: [contender(setting.codec, name, "plain", "said.npz", bare=sent.bare_mean)]}

        return Stage(split=ALL, name=f"sent {setting}", settings={}, needs=(self.unsplit(),), work=work)

    def _answers(self, ends: bundles.Ends, split: Split, work: Work) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """float32[n, class] and int64[n] bytes of each point; the head sees every photo once."""
        points = range(len(ends.bundle.manifest.points))
        said: list[list[tuple[np.ndarray, int]]] = [[] for _ in points]
        preparation = ends.bundle.manifest.preparation
        assert preparation is not None
        for number, picture in enumerate(self.photos.pictures(split.reporting)):
            codes = ends.codes(prepare(picture, preparation))
            for point in points:
                said[point].append(ends.answer_codes(codes, point))
            work.tell(number / len(split.reporting), "asking")
        for of_point in said:
            yield np.stack([logits for logits, _ in of_point]), np.array([size for _, size in of_point], dtype=np.int64)

    def _write_photos(self, photos: np.ndarray, folder: Path) -> None:
        """A folder without classes: none of the sample has two photos."""
        folder.mkdir(exist_ok=True)
        for index in photos:
            (folder / f"{self.photos.stems[index]}{self.photos.suffix}").write_bytes(self.photos.files[index])

    def _save(self, path: Path, photos: np.ndarray, logits: np.ndarray, sizes: np.ndarray | None = None) -> None:
        zeros = np.zeros(len(photos), np.int64)
        Predictions(photos=photos, logits=logits, sizes=zeros if sizes is None else sizes).save(path)


def done(store: Store, stages: Sequence[Stage]) -> Iterator[tuple[Stage, dict[str, Any]]]:
    """Stages that there are, with their facts."""
    for stage in stages:
        facts = store.facts(stage)
        if facts is not None:
            yield stage, facts
