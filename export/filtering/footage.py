"""Footage: the frames of one film, and what is kept of them: codes, and whether there is something to see."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np

from isthmus.contract.bundle import Bundle
from isthmus.contract.prepare import prepare
from isthmus.devices.golden import HEAD, INT8_HEAD
from isthmus.devices.runtime import Network
from isthmus.errors import ExportError

FPS_UNKNOWN = 10.0
"""Frame rate of a folder of pictures, unless it is given."""
CODES_MAX_BYTES = 4 << 30
"""Codes are held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shot:
    """One frame.

    Attributes:
        index: in its film, from 0.
        name: of its file below the film's folder, or "".
        picture: uint8[row, column, 3] BGR.
        truth: whether there is something to see, where the source knows.
    """

    index: int
    name: str
    picture: np.ndarray
    truth: bool | None = None


class Labels(Protocol):
    """Tells of every frame of a film whether there is something to see; `export.filtering.labels` has some."""

    words: str
    """Where it is known from."""

    def seen(self, film: str, shot: Shot, prepared: np.ndarray) -> bool | None:
        """Whether there is something to see; None where that is a matter of taste, as with half a thing at the edge.

        Args:
            film: name of the film.
            shot: the frame.
            prepared: float32[1, ...], the same as the network takes it.

        Raises:
            ExportError: it is not known, and should be.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footage:
    """Frames of one film, in order.

    Attributes:
        name: for messages, for labels, and for the bundle's record.
        fps: frames per second; None where it is not known.
        shots: read once.
    """

    name: str
    fps: float | None
    shots: Iterable[Shot]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Film:
    """What is kept of a film.

    Attributes:
        name: of the film.
        fps: of the frames that were kept.
        codes: for each boundary tensor int8 or uint8[frame, *shape].
        seen: bool[frame], whether there is something to see.
        known: bool[frame], whether that is known; what is not known is neither seen nor empty.
    """

    name: str
    fps: float
    codes: tuple[np.ndarray, ...]
    seen: np.ndarray
    known: np.ndarray


def head_of(bundle: Bundle) -> str:
    """File of the head that a device prefers."""
    return INT8_HEAD if bundle.has(INT8_HEAD) else HEAD


def read(
    bundle: Bundle,
    footage: Footage,
    labels: Labels,
    *,
    every: int = 1,
    fps: float | None = None,
    by_file_name: bool = False,
    on_frame: Callable[[int], None] = lambda _count: None,
) -> Film:
    """Run the head over a film, and see in which frames something is to be seen.

    Args:
        bundle: its head is the one that a device prefers.
        footage: the film.
        labels: say what is to be seen.
        every: of the frames, each so many-th is taken.
        fps: of the footage, where it is not known or known better.
        by_file_name: frames are in the order of their files' names, whatever folders these lie in.
        on_frame: called with the number of frames so far.

    Raises:
        ExportError: no frame, no preparation, or more codes than memory should hold.
        SourceError: whatever reading frames raises.
    """
    manifest = bundle.manifest
    if manifest.preparation is None:
        raise ExportError(f"{bundle.origin} does not say how a picture is prepared; export it with --preprocess")
    head = Network.of_bundle(bundle, head_of(bundle))
    kept: list[tuple[np.ndarray, ...]] = []
    seen: list[bool | None] = []
    names: list[str] = []
    codes_bytes = 0
    for shot in footage.shots:
        if shot.index % every:
            continue
        prepared = prepare(shot.picture, manifest.preparation)
        outputs = head.run({manifest.input.name: prepared})
        kept.append(tuple(outputs[tensor.name][0] for tensor in manifest.boundary.tensors))
        seen.append(labels.seen(footage.name, shot, prepared))
        names.append(shot.name)
        codes_bytes += sum(tensor.nbytes for tensor in kept[-1])
        if codes_bytes > CODES_MAX_BYTES:
            raise ExportError(
                f"codes of the first {len(kept)} frames of {footage.name} fill {CODES_MAX_BYTES >> 30} GiB; take fewer: --every N"
            )
        on_frame(len(kept))
    if not kept:
        raise ExportError(f"{footage.name} gave no frame")
    order = sorted(range(len(names)), key=lambda index: natural(PurePosixPath(names[index]).name)) if by_file_name else None
    codes = tuple(np.stack(tensors) for tensors in zip(*kept, strict=True))
    if order is not None:
        codes, seen = tuple(tensor[order] for tensor in codes), [seen[index] for index in order]
    known = np.array([told is not None for told in seen])
    if not known.any():
        raise ExportError(f"{footage.name} does not know what is to be seen in it; give --labels model or a file")
    rate = (fps or footage.fps or FPS_UNKNOWN) / every
    return Film(name=footage.name, fps=rate, codes=codes, seen=np.array([told is True for told in seen]), known=known)


def natural(name: str) -> list[str | int]:
    """A key that puts frame2 before frame10.

    >>> sorted(["frame10", "frame2"], key=natural)
    ['frame2', 'frame10']
    """
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", name.casefold()))]
