"""A live source that is opened anew whenever it breaks."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

import structlog

from isthmus.errors import SourceError
from isthmus.head.frame import Frame, Source
from isthmus.head.retry import retry_delays

_log = structlog.get_logger()


class Reconnecting(Source):
    """Frames of a source that may break and come back; they are numbered on through all breaks.

    One that never gave a frame is not waited for: a wrong address or a missing right is told at once.

    Args:
        open_source: opens the source; called again after each break, and raises SourceError where it is still broken.
        pauses: gives the seconds to wait between attempts, anew for each break.
        wait: waits for so long, true when it was woken; None: until `interrupt`.

    Raises:
        SourceError: the source cannot be opened.
    """

    live = True

    def __init__(
        self,
        open_source: Callable[[], Source],
        *,
        pauses: Callable[[], Iterator[float]] = retry_delays,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._open_source = open_source
        self._pauses = pauses
        self._interrupted = threading.Event()
        self._wait = wait or self._interrupted.wait
        self._next = 0
        self._unreadable_before = 0
        self._source: Source | None = open_source()
        self.description = self._source.description
        self.fps = self._source.fps
        self.reconnects = 0

    def read(self) -> Frame | None:
        """Wait for the next frame, through breaks of any length; None when the source ended of itself or was interrupted.

        Raises:
            SourceError: the source broke before its first frame.
        """
        frame = self._read()
        if frame is None:
            return None
        self._next += 1
        return dataclasses.replace(frame, sequence=self._next - 1)

    def _read(self) -> Frame | None:
        if self._source is not None:
            try:
                return self._read_from(self._source)
            except SourceError as error:
                if self._next == 0:
                    raise
                self._lose(str(error))
        lost_s = time.monotonic()
        for pause in self._pauses():
            self._wait(pause)
            if self._interrupted.is_set():
                return None
            try:
                self._source = self._open_source()
                # Interrupted while it opened: nobody has told the new source.
                frame = None if self._interrupted.is_set() else self._read_from(self._source)
            except SourceError as error:
                _log.debug("source still lost", source=self.description, reason=str(error))
                self._drop()
                continue
            if frame is not None:
                self.reconnects += 1
                _log.info("source back", source=self.description, after_s=round(time.monotonic() - lost_s, 1))
            return frame
        return None

    def _read_from(self, source: Source) -> Frame | None:
        try:
            return source.read()
        finally:
            self.unreadable = self._unreadable_before + source.unreadable

    def _lose(self, reason: str) -> None:
        if not self._interrupted.is_set():
            _log.warning("source lost", source=self.description, reason=reason)
        self._drop()

    def _drop(self) -> None:
        source, self._source = self._source, None
        self._unreadable_before = self.unreadable
        if source is not None:
            source.close()

    def interrupt(self) -> None:
        """End a read or a pause."""
        self._interrupted.set()
        if (source := self._source) is not None:
            source.interrupt()

    def close(self) -> None:
        """Close the source."""
        self._drop()
