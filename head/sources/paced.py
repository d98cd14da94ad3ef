"""Frames released on a schedule, as a camera would."""

import dataclasses
import math
import threading
import time
from collections.abc import Callable

from isthmus.errors import ConfigError
from isthmus.head.frame import Frame, Source


class Paced(Source):
    """Another source, released at `fps` frames per second.

    Frame k is due k/fps seconds after the first one. A frame that is asked for late is released at once and still
    bears the time it was due, so that latency counts from when the world would have shown it, not from when a slow
    reader got to it.

    Args:
        source: closed together with this one.
        fps: frames per second.
        clock: seconds that only grow.
        sleep: waits for a number of seconds; None: a wait that `interrupt` ends.

    Raises:
        ConfigError: `fps` is not a positive number.
    """

    live = True

    def __init__(
        self,
        source: Source,
        fps: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.fps = check_fps(fps)
        self.length = source.length
        self.description = source.description
        self._source = source
        self._period_s = 1.0 / fps
        self._clock = clock
        self._interrupted = threading.Event()
        self._sleep = sleep or self._interrupted.wait
        self._start_s: float | None = None
        self._released = 0

    def read(self) -> Frame | None:
        """Return the next frame when it is due, or None at the end."""
        frame = self._source.read()
        self.unreadable = self._source.unreadable
        if frame is None:
            return None
        if self._start_s is None:
            self._start_s = self._clock()
        due_s = self._start_s + self._released * self._period_s
        self._released += 1
        if (wait_s := due_s - self._clock()) > 0:
            self._sleep(wait_s)
        if self._interrupted.is_set():
            return None
        return dataclasses.replace(frame, captured_s=due_s)

    def interrupt(self) -> None:
        """End a wait for the next frame."""
        self._interrupted.set()
        self._source.interrupt()

    def close(self) -> None:
        """Close the source behind this one."""
        self._source.close()


def check_fps(fps: float) -> float:
    """`fps` if it is a positive number.

    Raises:
        ConfigError: it is not.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ConfigError(f"the frame rate is {fps}; it has to be a positive number of frames per second")
    return fps
