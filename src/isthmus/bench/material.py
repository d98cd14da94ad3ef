"""What the demo works on: pictures to train on, and a sequence that training never saw.

By default real handwritten digits (scikit-learn's copy of the UCI optical recognition set, 1797 scans of 8x8 pixels) pass on a
synthetic belt before a camera. The scans are parted into train, validation and test before anything is drawn, so no scan of the
test sequence was ever trained on. Or an image folder, parted likewise.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from isthmus.bench.scenes import Scene, from_source
from isthmus.contract.prepare import Preparation, fit
from isthmus.errors import ExportError
from isthmus.head.belt import Belt
from isthmus.head.source import open_source

INPUT = Preparation(width=128, height=96)
"""Input of the demo's network; the camera gives 320x240."""
TRAIN_SCANS, VALIDATION_SCANS = 1000, 297
"""Of 1797; the other 500 are for the test."""
TRAIN_FRAMES = 6000
TRAIN_EVERY = 8
"""Neighbouring frames are all but the same; many digits seen a few times teach more than a few digits seen often."""
EMPTY_SHARE = 0.001
"""Of the frames that show nothing, the part that is trained on as class `nothing`."""
NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Pictures and a sequence.

    Attributes:
        train: npz of labelled pictures at the network's input size.
        test: npz of labelled pictures of the test sequence, for the teacher's accuracy.
        preparation: of the network's input.
        classes: names.
        source: what `isthmus run --source` streams.
        gate: whether the sequence is a film, in which the motion gate makes sense.
        scenes: the test sequence with its truth.
        description: for the report.
        stream_frames: frames of the sequence.
    """

    train: Path
    test: Path
    preparation: Preparation
    classes: tuple[str, ...]
    source: str
    gate: bool
    scenes: Callable[[], Iterator[Scene]]
    description: str
    stream_frames: int


def digits(folder: Path, *, seed: int = 0, belts: int = 60, frames: int = 6000) -> Material:
    """Draw the belt frames into `folder`: so many belts to train on, and a test sequence of so many frames."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    sprites, labels = scans.images.astype(np.uint8), scans.target.astype(np.uint8)
    order = np.random.default_rng(seed).permutation(len(sprites))
    train, _validation, test = np.split(order, [TRAIN_SCANS, TRAIN_SCANS + VALIDATION_SCANS])
    drawn_belts = [Belt(sprites[train], labels[train], seed=seed + 1 + index, frames=TRAIN_FRAMES) for index in range(belts)]
    names = (*map(str, range(10)), NOTHING)
    drawn = _labelled(drawn_belts, np.random.default_rng(seed), every=TRAIN_EVERY, empty_share=EMPTY_SHARE)
    _save(folder / "train.npz", *drawn, names)
    last = Belt(sprites[test], labels[test], seed=seed + 1000, frames=frames)
    _save(folder / "test.npz", *_labelled([last], np.random.default_rng(seed), every=1, empty_share=0.0), names)
    path = folder / "test-belt.npz"
    last.save(path)
    return Material(
        train=folder / "train.npz",
        test=folder / "test.npz",
        preparation=INPUT,
        classes=names,
        source=f"belt:{path}",
        gate=True,
        scenes=lambda: _belt_scenes(str(path)),
        description=(
            f"scikit-learn digits on a synthetic belt: {TRAIN_SCANS} scans train, {len(test)} other scans in the test sequence "
            f"of {frames} frames of 320x240"
        ),
        stream_frames=frames,
    )


def _belt_scenes(path: str) -> Iterator[Scene]:
    with open_source(f"belt:{path}") as source:
        yield from from_source(source)


def _labelled(
    belts: Iterable[Belt], random: np.random.Generator, *, every: int, empty_share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Every so many-th frame with a digit, and a share of those with nothing; only these are rendered."""
    pictures, labels = [], []
    for belt in belts:
        shares = belt.visible_shares
        for index in range(len(belt)):
            label = belt.label(index)
            wanted = index % every == 0 if label is not None else shares[index] == 0 and random.random() < empty_share
            if wanted:
                pictures.append(fit(belt.frame(index).image, INPUT))
                labels.append(10 if label is None else label)
    return np.stack(pictures), np.array(labels)


def _save(path: Path, pictures: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    np.savez(path, images=pictures[..., ::-1], labels=labels, names=np.array(names))


def folder_of_pictures(data: Path, folder: Path, *, seed: int = 0) -> Material:
    """Part an image folder: four fifths to train, one fifth as test sequence (pictures in random order, no gate).

    Raises:
        ExportError: fewer than two class folders, or fewer than 20 pictures.
    """
    from isthmus.export import samples

    preparation = Preparation(width=128, height=128, fit="crop")
    everything = samples.read(data)
    if everything.labels is None or len(everything.names) < 2 or len(everything) < 20:
        raise ExportError(
            f"{data} needs at least two folders of pictures, one for each class, and 20 pictures; found {everything.origin}"
        )
    train, test = everything.split(0.2, seed=seed)
    for name, part in (("train", train), ("test", test)):
        assert part.labels is not None
        _save(folder / f"{name}.npz", np.stack([fit(p, preparation) for p in part.pictures]), part.labels, part.names)
    pictures = folder / "test-pictures"
    pictures.mkdir(exist_ok=True)
    assert test.labels is not None
    truths = [int(label) for label in test.labels]
    for index, picture in enumerate(test.pictures):
        cv2.imwrite(str(pictures / f"{index:06d}.png"), picture)

    def scenes() -> Iterator[Scene]:
        for index, (picture, truth) in enumerate(zip(test.pictures, truths, strict=True)):
            yield Scene(sequence=index, picture=picture, truth=truth, counts=True)

    return Material(
        train=folder / "train.npz",
        test=folder / "test.npz",
        preparation=preparation,
        classes=everything.names,
        source=str(pictures),
        gate=False,
        scenes=scenes,
        description=f"{everything.origin}, {len(everything.names)} classes: {len(train)} train, {len(test)} in the test sequence",
        stream_frames=len(test),
    )
