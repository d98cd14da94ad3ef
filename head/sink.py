"""Where records go."""

import contextlib
import json
import sys
import threading
from collections.abc import Callable
from typing import Literal, Protocol, TextIO

from isthmus.errors import ConfigError, DeviceError
from isthmus.head.annotated import Annotated
from isthmus.head.canvas import PictureFolder, VideoFile
from isthmus.head.mqtt import Mqtt
from isthmus.head.record import Record


class Sink(Protocol):
    """Takes records from any thread."""

    def write(self, record: Record) -> None:
        """Take one record."""
        ...

    def close(self) -> None:
        """Finish; nothing is written afterwards."""
        ...


class JsonLines:
    """One JSON object a line, flushed line by line.

    Args:
        path: file to write anew, or to go on with where a `+` stands before it, or `-` for standard output.

    Raises:
        ConfigError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._own = path != "-"
        mode: Literal["a", "w"] = "a" if path.startswith("+") else "w"
        try:
            self._stream: TextIO = open(path.removeprefix("+"), mode, encoding="utf-8") if self._own else sys.stdout  # noqa: SIM115
        except OSError as error:
            raise ConfigError(f"sink jsonl:{path} cannot be opened: {error.strerror}") from error

    def write(self, record: Record) -> None:
        """Write one line.

        Raises:
            DeviceError: the disk is full or gone.
            BrokenPipeError: whoever read standard output has ended.
        """
        line = json.dumps(record.as_json(), separators=(",", ":")) + "\n"
        with self._lock:
            try:
                self._stream.write(line)
                # Standard output is buffered in blocks when it is a pipe.
                self._stream.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise DeviceError(f"sink jsonl:{self._path} cannot be written: {error.strerror}; free space there") from error

    def close(self) -> None:
        """Close the file, or flush standard output."""
        with self._lock:
            if self._own:
                # What could not be written was told when it was written.
                with contextlib.suppress(OSError):
                    self._stream.close()
            else:
                self._stream.flush()


class Callback:
    """Hands every record to a function, one at a time."""

    def __init__(self, function: Callable[[Record], None]) -> None:
        self._lock = threading.Lock()
        self._function = function

    def write(self, record: Record) -> None:
        """Call the function."""
        with self._lock:
            self._function(record)

    def close(self) -> None:
        """Nothing to finish."""


def open_sink(reference: str, *, fps: float | None = None) -> Sink:
    """Open what `reference` names.

        jsonl:PATH      one JSON object a line; `jsonl:-` is standard output, `jsonl:+PATH` goes on with a file
        video:OUT.mp4   a video with the answers drawn in; also .mkv and .avi
        images:FOLDER   the same as a JPEG for each frame
        mqtt://HOST/TOPIC   one JSON message a frame to a broker; also mqtts (see `isthmus.head.mqtt`)

    Args:
        reference: as above.
        fps: frames per second of a video, as the source has them; None where it states none.

    Raises:
        ConfigError: another kind, or what cannot be opened.
        DeviceError: a broker does not answer.
    """
    kind, _, rest = reference.partition(":")
    if kind == "jsonl" and rest:
        return JsonLines(rest)
    if kind == "video" and rest:
        return Annotated(VideoFile(rest, fps))
    if kind == "images" and rest:
        return Annotated(PictureFolder(rest))
    if kind in ("mqtt", "mqtts"):
        return Mqtt(reference)
    raise ConfigError(
        f"sink {reference!r} is unknown; use jsonl:PATH, jsonl:- for standard output, video:OUT.mp4, images:FOLDER "
        "or mqtt://HOST/TOPIC"
    )
