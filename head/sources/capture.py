"""What OpenCV captures: video files, cameras, streams by address, GStreamer pipelines."""

import math
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus.errors import SourceError
from isthmus.head.frame import Frame, Source
from isthmus.head.picture import MAX_PIXELS
from isthmus.head.sources.web import without_password

_NEWEST_ONLY = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
TIMEOUT_S = 10.0
"""For a stream to open and for each frame; OpenCV's own 30 s would leave a dead camera unnoticed for so long."""


class _Capture(Source):
    """What OpenCV opens and reads frame by frame."""

    def __init__(self, capture: cv2.VideoCapture, *, description: str, advice: str) -> None:
        if not capture.isOpened():
            raise SourceError(f"{description} cannot be opened; {advice}")
        width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            capture.release()
            raise SourceError(f"{description} has {width:.0f}x{height:.0f} pixels; a frame may have {MAX_PIXELS}")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and fps > 0 else None
        self.description = description
        self._advice = advice
        self._capture = capture
        self._sequence = 0

    def close(self) -> None:
        """Release the file or the camera."""
        self._capture.release()

    def _grab(self) -> Frame | None:
        found, image = self._capture.read()
        if not found:
            return None
        self._sequence += 1
        return Frame(sequence=self._sequence - 1, image=_as_bytes(image), captured_s=time.monotonic())


def _as_bytes(image: cv2.typing.MatLike) -> NDArray[np.uint8]:
    return image.astype(np.uint8, copy=False)


class VideoSource(_Capture):
    """A video file."""

    def __init__(self, path: Path, *, loop: bool = False) -> None:
        super().__init__(
            cv2.VideoCapture(str(path)),
            description=f"video {path}",
            advice="it is no video, is damaged, or this build of OpenCV lacks its codec: try MP4 with H.264",
        )
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length = int(count) if not loop and math.isfinite(count) and count > 0 else None
        self._path = path
        self._loop = loop

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end.

        Raises:
            SourceError: the file opens but not one frame can be decoded.
        """
        frame = self._grab()
        if frame is None and self._sequence == 0:
            raise SourceError(f"{self.description} holds no frame that can be decoded; make it again")
        if frame is None and self._loop:
            # Opened anew rather than wound back, which not every container can.
            self._capture.release()
            self._capture = cv2.VideoCapture(str(self._path))
            frame = self._grab()
        return frame


class _Live(_Capture):
    """What OpenCV reads at the world's pace."""

    live = True

    def read(self) -> Frame:
        """Wait for the next frame.

        Raises:
            SourceError: no more frames come.
        """
        frame = self._grab()
        if frame is None:
            raise SourceError(f"{self.description} stopped after {self._sequence} frames; {self._advice}")
        return frame


class CameraSource(_Live):
    """A camera that OpenCV can open; the CSI cameras of a Raspberry Pi are not among them.

    Args:
        index: N of /dev/videoN.
        fps: what to ask the camera for; None: its own choice.
        size: width and height to ask for; a camera that has no such mode gives the nearest one it has.
    """

    def __init__(self, index: int, *, fps: float | None = None, size: tuple[int, int] | None = None) -> None:
        super().__init__(
            cv2.VideoCapture(index),
            description=f"camera {index}",
            advice="see which /dev/video* there are, and whether it is plugged in, or another program or missing rights keep it",
        )
        # An old picture from the driver's queue would pass for a new one.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
            self.fps = self._capture.get(cv2.CAP_PROP_FPS) or None


class AddressSource(_Live):
    """A stream that FFmpeg reads: RTSP and the like. RTSP goes over TCP where the camera offers it.

    Args:
        address: `rtsp://`, `rtsps://`, `rtmp://`, `tcp://` or `udp://`.
        timeout_s: for opening, and for each frame.
    """

    def __init__(self, address: str, *, timeout_s: float = TIMEOUT_S) -> None:
        patience = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(timeout_s * 1e3),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(timeout_s * 1e3),
        ]
        super().__init__(
            cv2.VideoCapture(address, cv2.CAP_FFMPEG, patience),
            description=f"stream {without_password(address)}",
            advice=f"nobody answers there within {timeout_s:g} s, it refuses user or password, or it sends no video; "
            "`ffprobe ADDRESS` says which",
        )


class GStreamerSource(_Live):
    """A GStreamer pipeline, where OpenCV was built with it; the wheels from PyPI are not.

    Args:
        pipeline: as for gst-launch-1.0; without an `appsink`, one that keeps the newest frame only is put at its end.

    Raises:
        SourceError: OpenCV lacks GStreamer, or the pipeline does not start.
    """

    def __init__(self, pipeline: str) -> None:
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise SourceError(
                f"gst:{pipeline} needs OpenCV with GStreamer, and OpenCV {cv2.__version__} here lacks it; install your system's "
                "python3-opencv, or give cmd:'gst-launch-1.0 -q ... ! jpegenc ! fdsink'"
            )
        sink = "" if "appsink" in pipeline else f" ! {_NEWEST_ONLY}"
        super().__init__(
            cv2.VideoCapture(pipeline + sink, cv2.CAP_GSTREAMER),
            description=f"gst {pipeline}",
            advice="try it with gst-launch-1.0",
        )
