"""Where frames come from, by name.

    frames/                 a folder: its pictures and those of the folders in it, in natural order (frame2 before frame10)
    frame.jpg               one picture: JPEG, PNG, WebP or BMP
    road.mp4                a video
    camera:0, /dev/video0   a camera; also its lasting names, as /dev/v4l/by-id/...
    rtsp://HOST/PATH        a network camera; also rtsps, rtmp, tcp and udp
    http://HOST/PATH        a network camera that sends MJPEG; also https
    cmd:PROGRAM ARGUMENTS   what a process writes to its standard output, for example rpicam-vid
    gst:PIPELINE            a GStreamer pipeline, where OpenCV was built with it
    belt:demo.npz           a conveyor belt with truth for every frame

Files hand out frames as fast as they are taken; `fps` releases them on a schedule, as a camera would. The others are live: they
are opened anew when they break.
"""

import os
import re
from pathlib import Path

from isthmus.errors import SourceError
from isthmus.head.belt import Belt
from isthmus.head.frame import Source
from isthmus.head.picture import PICTURE_SUFFIXES
from isthmus.head.sources.belt import BeltSource
from isthmus.head.sources.capture import AddressSource, CameraSource, GStreamerSource, VideoSource
from isthmus.head.sources.command import CommandSource
from isthmus.head.sources.form import Form
from isthmus.head.sources.paced import Paced, check_fps
from isthmus.head.sources.pictures import PictureSource, pictures_below
from isthmus.head.sources.reconnecting import Reconnecting
from isthmus.head.sources.web import WebSource

_CAMERA = re.compile(r"(?:camera:|/dev/video)(\d{1,3})")
_KIND = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_ADDRESSES = frozenset({"rtsp", "rtsps", "rtmp", "tcp", "udp"})
_KINDS = "a folder, a picture, a video, camera:N, /dev/videoN, rtsp://..., http://..., cmd:..., gst:... or belt:FILE.npz"
_DEFAULT_FORM = Form()


def open_source(reference: str, *, fps: float | None = None, loop: bool = False, form: Form = _DEFAULT_FORM) -> Source:
    """Open what `reference` names.

    Args:
        reference: a path, or `kind:rest` as in the docstring of this module.
        fps: release the frames of a file at this pace; a camera is asked for this rate; other live sources have their own.
        loop: start a file over at its end.
        form: pixels of `cmd:`, and the size that `cmd:` writes or a camera is asked for.

    Raises:
        SourceError: nothing is there, it cannot be read, or the kind is unknown.
        ConfigError: `fps` is not a positive number, or raw pixels have no size.
    """
    if fps is not None:
        check_fps(fps)
    live = _open_live(reference, fps, form)
    if live is not None:
        return live
    source = _open_file(reference, loop=loop)
    return source if fps is None else Paced(source, fps)


def _open_live(reference: str, fps: float | None, form: Form) -> Source | None:
    if _CAMERA.fullmatch(reference) or reference.startswith("/dev/v4l/"):
        return Reconnecting(lambda: CameraSource(_camera_index(reference), fps=fps, size=form.size))
    found = _KIND.match(reference)
    kind = found[1].lower() if found else ""
    rest = reference[len(kind) + 1 :]
    if kind in _ADDRESSES and rest.startswith("//"):
        return Reconnecting(lambda: AddressSource(reference))
    if kind in ("http", "https") and rest.startswith("//"):
        return Reconnecting(lambda: WebSource(reference))
    if kind == "cmd":
        return Reconnecting(lambda: CommandSource(rest, form))
    if kind == "gst":
        return Reconnecting(lambda: GStreamerSource(rest))
    return None


def _camera_index(reference: str) -> int:
    """Number of a camera; a lasting name is a link to /dev/videoN, and N may be another one after it was plugged in anew."""
    found = _CAMERA.fullmatch(os.path.realpath(reference) if reference.startswith("/dev/v4l/") else reference)
    if found is None:
        raise SourceError(f"{reference} leads to no camera; see which /dev/video* there are, and whether it is plugged in")
    return int(found[1])


def _open_file(reference: str, *, loop: bool) -> Source:
    kind = _KIND.match(reference)
    if kind and kind[1] == "belt":
        path = Path(reference.removeprefix("belt:"))
        return BeltSource(Belt.load(path), loop=loop, description=f"belt {path}")
    path = Path(reference)
    if not reference or not path.exists():
        if kind:
            raise SourceError(f"{reference} is of the unknown kind {kind[1]!r}; give {_KINDS}")
        raise SourceError(f"{reference!r} does not exist; give {_KINDS}")
    if path.is_dir():
        return PictureSource(pictures_below(path), root=path, loop=loop, description=f"folder {path}")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return PictureSource([path], root=path.parent, loop=loop, description=f"picture {path}")
    return VideoSource(path, loop=loop)
