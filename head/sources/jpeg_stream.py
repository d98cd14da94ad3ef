"""Pictures out of a stream of bytes: one JPEG after the other, whatever stands between them.

The markers of each picture are walked (ITU T.81, annex B), so that a thumbnail within the metadata does not end it early. What
lies between two pictures, as the part headers of multipart/x-mixed-replace, is passed over; no camera's odd boundary matters.
"""

import re

from isthmus.errors import SourceError

BYTES_MAX = 32 * 1024 * 1024
"""Of one picture: some ten times what a 12-megapixel camera sends."""

_START = b"\xff\xd8\xff"
_END_OF_IMAGE, _START_OF_SCAN, _START_OF_IMAGE = 0xD9, 0xDA, 0xD8
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""Within a scan, FF is followed by 00, by a restart marker or by another FF; anything else ends it."""


class JpegStream:
    """Bytes in, JPEG pictures out; holds at most one picture and what was fed after it."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max
        self._restart()

    def _restart(self) -> None:
        # Where the walk goes on, from the start of the picture; before 2 no picture was found yet.
        self._position = 0
        self._in_scan = False

    def feed(self, data: bytes) -> None:
        """Add bytes as they come."""
        self._buffer += data

    @property
    def rest(self) -> int:
        """Bytes that wait for more."""
        return len(self._buffer)

    def take(self) -> bytes | None:
        """Take the next whole picture; None: more bytes are needed.

        Raises:
            SourceError: a picture does not end within `bytes_max`.
        """
        while self._find_start():
            end = self._walk()
            if end == 0:
                if len(self._buffer) > self._bytes_max:
                    raise SourceError(f"a JPEG picture does not end within {self._bytes_max} bytes; is this an MJPEG stream?")
                return None
            if end > 0:
                picture = bytes(self._buffer[:end])
                del self._buffer[:end]
                self._restart()
                return picture
            # Not a picture after all: look for another start behind this one.
            del self._buffer[:2]
            self._restart()
        return None

    def _find_start(self) -> bool:
        if self._position:
            return True
        start = self._buffer.find(_START)
        if start < 0:
            # The first two bytes of a start may have come already.
            del self._buffer[: max(0, len(self._buffer) - len(_START) + 1)]
            return False
        del self._buffer[:start]
        self._position = 2
        return True

    def _walk(self) -> int:
        """End of the picture; 0 when more bytes are needed, -1 when this is no JPEG."""
        while True:
            if self._in_scan and not self._pass_scan():
                return 0
            if self._position + 2 > len(self._buffer):
                return 0
            if self._buffer[self._position] != 0xFF:
                return -1
            marker = self._buffer[self._position + 1]
            if marker == 0xFF:
                self._position += 1
            elif marker == _END_OF_IMAGE:
                return self._position + 2
            elif marker in (0x00, _START_OF_IMAGE):
                return -1
            elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
                self._position += 2
            elif not self._pass_segment(marker):
                return 0

    def _pass_segment(self, marker: int) -> bool:
        if self._position + 4 > len(self._buffer):
            return False
        length = int.from_bytes(self._buffer[self._position + 2 : self._position + 4], "big")
        self._position += 2 + length
        self._in_scan = marker == _START_OF_SCAN
        return True

    def _pass_scan(self) -> bool:
        found = _AFTER_SCAN.search(self._buffer, self._position)
        if found is None:
            # The last byte may be the first of a marker.
            self._position = max(self._position, len(self._buffer) - 1)
            return False
        self._position = found.start()
        self._in_scan = False
        return True
