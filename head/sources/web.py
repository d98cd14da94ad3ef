"""MJPEG over HTTP (multipart/x-mixed-replace), as network cameras, ESP32-CAM and mjpg-streamer send it."""

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit, urlunsplit

from isthmus.errors import SourceError
from isthmus.head.frame import Frame, Source
from isthmus.head.sources.jpeg_stream import JpegStream
from isthmus.head.sources.motion_jpeg import MotionJpeg

STALL_S = 10.0
"""So long without a byte is an error, and so is an answer that takes so long."""
_READ_BYTES = 1 << 16


class WebSource(Source):
    """An MJPEG stream.

    Args:
        address: `http://` or `https://`; a user and password in it are sent as the camera asks for them (Basic or Digest).
        stall_s: see STALL_S.

    Raises:
        SourceError: nobody answers, the camera refuses, or what it sends is no MJPEG stream.
    """

    live = True

    def __init__(self, address: str, *, stall_s: float = STALL_S) -> None:
        self.description = f"stream {without_password(address)}"
        self._stall_s = stall_s
        self._interrupted = False
        self._sequence = 0
        self._response = self._open(address)
        self._jpegs = MotionJpeg(JpegStream(), self.description)

    def _open(self, address: str) -> http.client.HTTPResponse:
        parts = urlsplit(address)
        plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if parts.username is not None:
            passwords.add_password(None, plain, unquote(parts.username), unquote(parts.password or ""))
        opener = urllib.request.build_opener(
            urllib.request.HTTPBasicAuthHandler(passwords), urllib.request.HTTPDigestAuthHandler(passwords)
        )
        try:
            response: http.client.HTTPResponse = opener.open(plain, timeout=self._stall_s)
        except urllib.error.HTTPError as error:
            with error:
                raise SourceError(f"{self.description} answers {error.code} {error.reason}; is the address right?") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            words = " ".join(str(reason).split()) or type(error).__name__
            raise SourceError(f"{self.description} cannot be opened: {words}") from error
        kind = response.headers.get_content_type()
        if kind not in ("multipart/x-mixed-replace", "video/x-motion-jpeg", "video/x-jpeg"):
            response.close()
            raise SourceError(f"{self.description} sends {kind}, not multipart/x-mixed-replace; is this its MJPEG address?")
        return response

    def read(self) -> Frame | None:
        """Wait for the next frame.

        Raises:
            SourceError: the stream ended, broke or stalled.
        """
        image = self._jpegs.read(self._receive)
        self.unreadable = self._jpegs.unreadable
        if image is None:
            if self._interrupted:
                return None
            raise SourceError(f"{self.description} ended after {self._sequence} frames")
        self._sequence += 1
        return Frame(sequence=self._sequence - 1, image=image, captured_s=time.monotonic())

    def _receive(self) -> bytes:
        if self._interrupted:
            return b""
        try:
            return self._response.read1(_READ_BYTES)
        except TimeoutError as error:
            raise SourceError(f"{self.description} gave nothing for {self._stall_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(
                f"{self.description} broke after {self._sequence} frames: {error or type(error).__name__}"
            ) from error

    def interrupt(self) -> None:
        """End a read at the next bytes, or at the time-out."""
        self._interrupted = True

    def close(self) -> None:
        """Close the connection."""
        self._interrupted = True
        self._response.close()


def without_password(address: str) -> str:
    """An address for logs.

    >>> without_password("rtsp://admin:secret@192.0.2.9/stream")
    'rtsp://***@192.0.2.9/stream'
    """
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"***@{host}")) if at and user else address
