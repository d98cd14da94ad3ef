"""What detectors and their rivals find on annotated pictures: average precision of all, and of the same draws of pictures."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.ghnd.rivals import Sent

from isthmus.codec import tables
from isthmus.codec.codec import Codec, offered
from isthmus.contract.bundle import Bundle
from isthmus.contract.detection import Found
from isthmus.contract.prepare import prepare
from isthmus.devices.runtime import Network
from isthmus.export.judging import TruthJudge
from isthmus.export.samples import Samples


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One contender.

    Attributes:
        kind: `split`, `unsplit`, `local` or `picture`.
        name: for people.
        sizes: int64[picture], bytes that crossed.
        device_mmac: million multiply-adds on the device.
        drawn: float64[1 + draw, 2], AP50 and AP of all pictures, then of draws of them.
    """

    kind: str
    name: str
    sizes: np.ndarray
    device_mmac: float
    drawn: np.ndarray

    @property
    def bytes_mean(self) -> float:
        """Of a picture."""
        return float(self.sizes.mean())

    def figure(self, place: int) -> tuple[float, float, float]:
        """AP50 (0) or AP (1) with its 95% interval, moved until the middle of the draws is the figure."""
        return _around(self.drawn[0, place], self.drawn[1:, place])

    def part_of(self, other: "Row", place: int = 0) -> tuple[float, float, float]:
        """Precision over that of another on the same draws of pictures, with its 95% interval."""
        shares = self.drawn[:, place] / other.drawn[:, place]
        return _around(shares[0], shares[1:])


def _around(value: float, drawn: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.nanpercentile(drawn, (2.5, 50, 97.5))
    return float(value), float(low + value - middle), float(high + value - middle)


class Rows:
    """Rows of one bundle's pictures, kept in a folder: what was measured is not measured again."""

    def __init__(self, folder: Path, bundle: Bundle, samples: Samples) -> None:
        self._folder = folder
        self._bundle = bundle
        self._samples = samples
        self._judge = TruthJudge(bundle, samples)
        folder.mkdir(parents=True, exist_ok=True)

    def unsplit(self, kind: str, name: str) -> Row:
        """The bundle's whole network on untouched pictures."""
        sizes = np.zeros(len(self._samples), np.int64)
        mmac = self._bundle.manifest.whole.flops / 2e6
        return self._row(kind, name, mmac, lambda: (self._whole(self._samples.pictures), sizes))

    def picture(self, sent: Sent) -> Row:
        """The whole network on what arrives of pictures."""

        def find() -> tuple[list[Found], np.ndarray]:
            arrived = [sent.through(picture) for picture in self._samples.pictures]
            return self._whole([picture for picture, _ in arrived]), np.array([size for _, size in arrived])

        return self._row("picture", sent.name, 0.0, find)

    def split(self, name: str) -> Row:
        """Head, codec and tail, at the point with all channels."""
        return self._row("split", name, self._bundle.manifest.head.flops / 2e6, self._through_codec)

    def _whole(self, pictures: Sequence[np.ndarray]) -> list[Found]:
        network, manifest = Network.of_bundle(self._bundle, "whole.onnx"), self._bundle.manifest
        assert manifest.preparation is not None
        return [self._judge.read(network.run({manifest.input.name: prepare(one, manifest.preparation)})) for one in pictures]

    def _through_codec(self) -> tuple[list[Found], np.ndarray]:
        manifest, known = self._bundle.manifest, tables.of_bundle(self._bundle)
        assert manifest.preparation is not None
        head, tail = Network.of_bundle(self._bundle, "head.onnx"), Network.of_bundle(self._bundle, "tail.onnx")
        codec = Codec(manifest.boundary, manifest.points, offered(known), tables=known)
        (tensor,) = manifest.boundary.tensors
        found, sizes = [], []
        for picture in self._samples.pictures:
            codes = head.run({manifest.input.name: prepare(picture, manifest.preparation)})
            payload = codec.encode([codes[tensor.name][0]])
            (sent,) = codec.decode(payload)
            found.append(self._judge.read(tail.run({tensor.name: sent[None]})))
            sizes.append(len(payload))
        return found, np.array(sizes)

    def _row(self, kind: str, name: str, mmac: float, find: Callable[[], tuple[list[Found], np.ndarray]]) -> Row:
        # The whole network is the same in all bundles of a detector.
        asked = self._bundle.digest if kind == "split" else self._bundle.manifest.files["whole.onnx"].sha256
        told = {"asked": asked, "samples": self._samples.origin, "kind": kind, "name": name}
        path = self._folder / f"{kind} {name}.npz".replace(" ", "-")
        kept = _read(path, told)
        if kept is None:
            found, sizes = find()
            each = self._judge.drawn(found)
            kept = {"sizes": sizes, "drawn": np.stack([each[:, 0], each.mean(1)], 1)}
            np.savez(path, told=json.dumps(told), **kept)
        return Row(kind=kind, name=name, device_mmac=mmac, sizes=kept["sizes"], drawn=kept["drawn"])


def _read(path: Path, told: dict[str, str]) -> dict[str, np.ndarray] | None:
    """What was measured of the same bundle on the same pictures; None where nothing was."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        same = json.loads(str(arrays["told"])) == told
        return {"sizes": arrays["sizes"], "drawn": arrays["drawn"]} if same else None
