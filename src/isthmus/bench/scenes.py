"""The sequence that is measured: frames in camera order, with their truth where it is known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isthmus.errors import SourceError
from isthmus.head.frame import Frame, Source

FRAMES_MAX = 100_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One frame of the sequence.

    Attributes:
        sequence: place in it.
        picture: uint8[row, column, 3] BGR.
        truth: class index; None where nothing is to be seen or it is not known.
        counts: whether the frame counts for recall and drops: its truth is known.
    """

    sequence: int
    picture: np.ndarray
    truth: int | None
    counts: bool


def from_source(source: Source, *, limit: int | None = None) -> Iterator[Scene]:
    """Frames of a source, at most `limit`.

    Raises:
        SourceError: the source gives nothing, or never ends and no limit is set.
    """
    if source.length is None and limit is None:
        raise SourceError(f"{source.description} does not end; say how many frames to measure with --frames")
    taken = 0
    while taken < (limit or FRAMES_MAX) and (frame := source.read()) is not None:
        yield _scene(frame)
        taken += 1
    if not taken:
        raise SourceError(f"{source.description} gave no frame")


def _scene(frame: Frame) -> Scene:
    return Scene(sequence=frame.sequence, picture=frame.image, truth=frame.label, counts=frame.truth_known)
