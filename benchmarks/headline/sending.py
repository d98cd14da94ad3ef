"""Compressed photos on disk, and views of photos compressed for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from benchmarks.headline.codecs import Setting, bare_size, resized

from isthmus.contract.prepare import Preparation, fit

MEASURED = 48
"""Photos to learn from on which the usual bytes of a setting are measured, to put it into a band."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sent:
    """Photos as they cross.

    Attributes:
        files: encoded, in order.
        bare_mean: see `codecs.bare_size`.
    """

    files: Sequence[bytes]
    bare_mean: float

    @property
    def sizes(self) -> np.ndarray:
        """int64[n] bytes."""
        return np.array([len(data) for data in self.files], dtype=np.int64)

    def pictures(self) -> list[np.ndarray]:
        """As they arrive, at the size that was sent."""
        return [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in self.files]


def fitted(pictures: Sequence[np.ndarray], preparation: Preparation) -> list[np.ndarray]:
    """Photos at the size of the network's input: a device would not send what the network does not look at."""
    return [fit(picture, preparation) for picture in pictures]


def keep(path: Path, setting: Setting, pictures: Sequence[np.ndarray], preparation: Preparation) -> None:
    """Compress photos and write them, unless they are written."""
    if path.exists():
        return
    files = [setting.encode(picture) for picture in fitted(pictures, preparation)]
    ends = np.cumsum([len(data) for data in files])
    bare = np.mean([bare_size(setting.codec, data) for data in files])
    partial = path.with_name(f"{path.stem}.partial.npz")
    np.savez(partial, data=np.frombuffer(b"".join(files), np.uint8), ends=ends, bare=bare)
    partial.replace(path)


def read(path: Path) -> Sent:
    """What `keep` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        data, ends, bare = arrays["data"].tobytes(), arrays["ends"], float(arrays["bare"])
    starts = np.concatenate([[0], ends[:-1]])
    return Sent(files=[data[start:end] for start, end in zip(starts, ends, strict=True)], bare_mean=bare)


class Compressed:
    """Compresses every view by one of several settings, the same one each time; what crossed is kept in memory."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings = settings
        self._sent: dict[tuple[int, int], bytes] = {}

    def __call__(self, picture: np.ndarray, photo: int, number: int) -> np.ndarray:
        """What arrives, at the size of what was given."""
        if (photo, number) not in self._sent:
            place = np.random.default_rng((photo, number)).integers(len(self._settings))
            self._sent[photo, number] = self._settings[place].encode(picture)
        data = self._sent[photo, number]
        return resized(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), picture.shape[0])
