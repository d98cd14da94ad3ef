"""Frames from the standard output of any process: `rpicam-vid`, `ffmpeg`, a program of one's own.

The process is started without a shell, in a group of its own, and ended with the source. Its standard error is read and kept
short; when the process fails, its last line says why.
"""

import contextlib
import os
import select
import shlex
import signal
import subprocess
import threading
import time
from collections import deque

import numpy as np
import structlog
from numpy.typing import NDArray

from isthmus.errors import SourceError
from isthmus.head.frame import Frame, Source
from isthmus.head.sources.form import MJPEG, Form
from isthmus.head.sources.jpeg_stream import JpegStream
from isthmus.head.sources.motion_jpeg import MotionJpeg

STALL_S = 10.0
"""A camera that gives nothing for so long hangs: the slowest of them send a frame a second, and start within five."""
_READ_BYTES = 1 << 16
_ENDING_S = 1.0
"""How long a process may take to end after it was asked to, or after it closed its output."""
_LINES_KEPT = 20

_log = structlog.get_logger()


class CommandSource(Source):
    """What a process writes to its standard output.

    Args:
        command: program and arguments, quoted as for a shell; no shell runs it, so `sh -c '... | ...'` for a pipe.
        form: what it writes.
        stall_s: so long without a byte is an error.

    Raises:
        SourceError: the program cannot be started.
        ConfigError: raw pixels without a size.
    """

    live = True

    def __init__(self, command: str, form: Form, *, stall_s: float = STALL_S) -> None:
        self.description = f"cmd {command}"
        self._form = form
        self._frame_bytes = 0 if form.pixels == MJPEG else form.frame_bytes
        self._stall_s = stall_s
        self._interrupted = False
        self._sequence = 0
        self._got = 0
        self._jpegs = MotionJpeg(JpegStream(), self.description)
        self._process = _start(_words(command))
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listener = threading.Thread(target=self._listen, name="isthmus-cmd", daemon=True)
        self._listener.start()

    def read(self) -> Frame | None:
        """Wait for the next frame; None when the process ended well.

        Raises:
            SourceError: the process failed, ended within a frame, or gave nothing for `stall_s`.
        """
        image = self._read_raw() if self._frame_bytes else self._jpegs.read(self._receive)
        self.unreadable = self._jpegs.unreadable
        if image is None:
            self._judge_end()
            return None
        self._sequence += 1
        return Frame(sequence=self._sequence - 1, image=image, captured_s=time.monotonic())

    def _read_raw(self) -> NDArray[np.uint8] | None:
        raw = np.empty(self._frame_bytes, np.uint8)
        view = raw.data
        self._got = 0
        while self._got < self._frame_bytes:
            self._wait()
            count = os.readv(self._output, [view[self._got :]])
            if not count:
                return None
            self._got += count
        return self._form.decode(raw)

    def _receive(self) -> bytes:
        self._wait()
        return os.read(self._output, _READ_BYTES)

    def _wait(self) -> None:
        if not self._poll.poll(self._stall_s * 1e3):
            raise SourceError(f"{self.description} gave nothing for {self._stall_s:g} s; see whether the camera is in order")

    def _judge_end(self) -> None:
        """Return if the process has ended as it should, after its output has ended."""
        if self._interrupted:
            return
        within_a_frame = bool(self._got or self._jpegs.rest)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        status = self._process.poll()
        if status == 0 and not within_a_frame:
            return
        self._listener.join(_ENDING_S)
        words = f": {self._lines[-1]}" if self._lines else ""
        if status == 0:
            raise SourceError(f"{self.description} ended within a frame; do --frame-format and --frame-size fit what it writes?")
        fate = "closed its output" if status is None else f"ended with status {status}"
        raise SourceError(f"{self.description} {fate} after {self._sequence} frames{words}")

    def interrupt(self) -> None:
        """End the process, and with it a read that waits."""
        self._interrupted = True
        _signal(self._process, signal.SIGTERM)

    def close(self) -> None:
        """End the process and whatever it started."""
        self.interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        # What ignores the request; also what the process itself has left behind in its group.
        _signal(self._process, signal.SIGKILL)
        self._process.wait()
        self._listener.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._lines.append(line.decode(errors="replace").strip()[:200])
                _log.debug("cmd says", line=self._lines[-1])


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SourceError(f"cmd:{command} cannot be read: {error}; quote it as for a shell") from error
    if not words:
        raise SourceError("cmd: names no program; write for example cmd:'rpicam-vid -t 0 --codec mjpeg -o -'")
    return words


def _start(words: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise SourceError(f"cmd: {words[0]} cannot be started: {error.strerror}") from error


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the group of a process; a group that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
