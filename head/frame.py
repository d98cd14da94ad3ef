"""One capture, as it travels through the stages of the head, and what every source of captures can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A picture with its place in the stream; compared by identity, because pictures are.

    Attributes:
        sequence: number of the frame in its source, from 0, without gaps.
        image: uint8[row, column, channel], channels blue, green, red.
        captured_s: seconds of `time.monotonic` at capture; for a paced source, the time the frame was due.
        name: file name of the picture, or "" where the source has none.
        label: class index that the source knows to be true; None when it is unknown or there is nothing to see.
        truth_known: whether `label` is the truth, so that None means "nothing to see" and a measurement may count it.
    """

    sequence: int
    image: NDArray[np.uint8]
    captured_s: float
    name: str = ""
    label: int | None = None
    truth_known: bool = False


class Source(ABC):
    """A sequence of frames; use it as a context manager.

    Attributes:
        fps: frames per second as the source states them; None where it states nothing.
        length: frames in all, as far as known beforehand: unreadable pictures count, a video's header may be off by
            some; None for cameras and loops.
        description: what it is, for logs and reports.
        unreadable: pictures that were skipped so far because they could not be read.
        live: frames come at the world's pace, so one that is not taken in time is late; False for files, where each counts.
    """

    fps: float | None = None
    length: int | None = None
    description: str = ""
    unreadable: int = 0
    live: bool = False

    @abstractmethod
    def read(self) -> Frame | None:
        """Return the next frame, or None at the end or after `interrupt`.

        Raises:
            SourceError: a camera stopped, or nothing at all in a source can be read.
        """

    def interrupt(self) -> None:
        """End a `read` that waits, from any thread; what cannot be woken ends by its own time-out."""
        return

    def close(self) -> None:
        """Give back what the source holds; reading after that is an error of the caller."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read()) is not None:
            yield frame
