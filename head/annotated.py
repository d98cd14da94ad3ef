"""A sink that shows: every frame with its answer drawn in, in the order of the frames.

Answers come in any order and from any thread, drawing and compressing take their time, so a thread of its own does that. Between
stand a short queue, which makes whoever writes wait when the thread is behind (a file is read no faster than it is shown), and
what is needed to put frames in order, bounded in bytes: behind a frame that is overdue the others are shown without it.
"""

import dataclasses
import queue
import threading
from typing import Protocol

import structlog

from isthmus.contract.picture import Picture
from isthmus.errors import DeviceError
from isthmus.head.annotation import Said, draw
from isthmus.head.record import Record

log = structlog.get_logger()

QUEUED_MAX = 8
"""Frames between the answers and the drawing."""
HELD_BYTES_MAX = 64 << 20
"""Of pictures that wait for an earlier frame: ten of 1920x1080, three seconds of 640x360 at 30 a second."""


class Canvas(Protocol):
    """Takes pictures in order."""

    name: str

    def put(self, picture: Picture, record: Record) -> None:
        """Take the next picture.

        Raises:
            DeviceError: it cannot be kept.
        """
        ...

    def close(self) -> None:
        """Finish.

        Raises:
            DeviceError: what was put did not arrive.
        """
        ...


class Annotated:
    """Draws records on a canvas. A frame without an answer shows the last one's in grey, and why there is none.

    Args:
        canvas: closed together with this sink.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._queue: queue.Queue[Record | None] = queue.Queue(QUEUED_MAX)
        self._held: dict[int, Record] = {}
        self._next = 0
        self._left_out = 0
        self._last = Said()
        self._error: Exception | None = None
        self._told = False
        self._thread = threading.Thread(target=self._work, name=f"isthmus-draw-{canvas.name}", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Hand a record over; waits while the drawing is behind. What waited on the disk is not shown: its time is over.

        Raises:
            DeviceError: the canvas failed on an earlier picture.
        """
        self._tell()
        if not record.queued:
            self._queue.put(record)

    def close(self) -> None:
        """Draw what is left, and finish.

        Raises:
            DeviceError: the canvas failed, unless `write` said so already.
        """
        self._queue.put(None)
        self._thread.join()
        try:
            self._canvas.close()
        except DeviceError as error:
            self._error = self._error or error
        if self._left_out:
            log.warning("frames came too late to be shown", sink=self._canvas.name, frames=self._left_out)
        self._tell()

    def _tell(self) -> None:
        if self._error is not None and not self._told:
            self._told = True
            raise self._error

    def _work(self) -> None:
        while (record := self._queue.get()) is not None:
            self._take(record)
        for sequence in sorted(self._held):
            self._show(self._held.pop(sequence))

    def _take(self, record: Record) -> None:
        if record.sequence < self._next:
            self._left_out += 1
            return
        self._held[record.sequence] = record
        if sum(_bytes(held) for held in self._held.values()) > HELD_BYTES_MAX:
            self._next = min(self._held)
        while (due := self._held.pop(self._next, None)) is not None:
            self._show(due)
            self._next += 1

    def _show(self, record: Record) -> None:
        if self._error is not None or record.picture is None:
            return  # after a failure records are still taken, lest somebody waits for ever
        try:
            self._canvas.put(draw(record.picture, self._said(record)), record)
        except Exception as error:
            self._error = error

    def _said(self, record: Record) -> Said:
        if record.placement == "drop":
            note = "nothing moves" if record.reason == "gate" else f"no answer: {record.reason}"
            return dataclasses.replace(self._last, note=note, stale=True)
        self._last = Said(detections=record.detections or (), classification=record.classification)
        return self._last


def _bytes(record: Record) -> int:
    return 0 if record.picture is None else record.picture.nbytes
