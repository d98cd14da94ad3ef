"""Frames out of a stream of JPEG pictures."""

from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray

from isthmus.errors import LimitExceeded, MalformedPayload
from isthmus.head.picture import decode
from isthmus.head.sources.jpeg_stream import JpegStream

_log = structlog.get_logger()


class MotionJpeg:
    """Reads picture after picture; a damaged one is counted and skipped.

    Args:
        stream: takes the bytes.
        description: whose they are, for the log.
    """

    def __init__(self, stream: JpegStream, description: str) -> None:
        self.unreadable = 0
        self._stream = stream
        self._description = description

    @property
    def rest(self) -> int:
        """Bytes of a picture that has not ended."""
        return self._stream.rest

    def read(self, receive: Callable[[], bytes]) -> NDArray[np.uint8] | None:
        """Read the next picture that can be decoded.

        Args:
            receive: waits for bytes; empty at the end.

        Returns:
            uint8[row, column, channel], blue, green, red; None at the end.

        Raises:
            SourceError: no picture ends within the bytes it may have.
        """
        while True:
            while (data := self._stream.take()) is None:
                more = receive()
                if not more:
                    return None
                self._stream.feed(more)
            try:
                return decode(data)
            except (LimitExceeded, MalformedPayload) as error:
                self.unreadable += 1
                # A camera with a bad cable would fill the log.
                level = _log.warning if self.unreadable == 1 else _log.debug
                level("picture skipped", source=self._description, reason=str(error))
