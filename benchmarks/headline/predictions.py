"""What a contender said to each photo, and what it sent: kept, so that figures can be made from it at any time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.contract.prepare import Preparation, prepare
from isthmus.devices.runtime import Network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Answers to some photos.

    Attributes:
        photos: int64[n], which ones.
        logits: float32[n, class].
        sizes: int64[n], bytes that crossed; 0 where nothing did.
    """

    photos: np.ndarray
    logits: np.ndarray
    sizes: np.ndarray

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        partial = path.with_name(f"{path.stem}.partial.npz")
        np.savez(partial, photos=self.photos, logits=self.logits.astype(np.float32), sizes=self.sizes)
        partial.replace(path)

    def part(self, photos: np.ndarray) -> "Predictions":
        """Those of the given photos, in their order."""
        places = np.searchsorted(self.photos, photos)
        if len(photos) and not np.array_equal(self.photos[places.clip(max=len(self.photos) - 1)], photos):
            raise ValueError("predictions are missing for some of these photos")
        return Predictions(photos=photos, logits=self.logits[places], sizes=self.sizes[places])


def load(path: Path) -> Predictions:
    """Read what `save` wrote; photos are in ascending order."""
    with np.load(path, allow_pickle=False) as arrays:
        return Predictions(photos=arrays["photos"], logits=arrays["logits"], sizes=arrays["sizes"])


def ask(
    model: Path,
    pictures: Sequence[np.ndarray],
    preparation: Preparation,
    tell: Callable[[float], None] = lambda _part: None,
) -> np.ndarray:
    """float32[n, class] that an ONNX classifier says to pictures, one at a time and on one thread, as on a device."""
    network = Network.load(model)
    (given,), (answer,) = network.inputs, network.outputs
    found = []
    told = time.monotonic()
    for index, picture in enumerate(pictures):
        found.append(network.run({given.name: prepare(picture, preparation)})[answer.name][0])
        if time.monotonic() - told > 1:
            told = time.monotonic()
            tell((index + 1) / len(pictures))
    return np.stack(found)
