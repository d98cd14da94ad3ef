"""Something read from files, and read again when they change. What cannot be read leaves the old in place."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from isthmus.errors import ConfigError

_log = structlog.get_logger(__name__)

Content = TypeVar("Content")
Stamp = tuple[tuple[int, int, int] | None, ...]


class Watched(Generic[Content]):
    """Looks at the files whenever it is asked, which costs a system call each; any thread may ask.

    A look compares inode, size and time of the files, so it also sees links that point elsewhere, as mounted secrets do. Files
    that are replaced one after the other may be seen half-way: that state is refused and the next look finds the whole.

    Args:
        what: for the log.
        paths: the files.
        read: reads them all.

    Raises:
        ConfigError: they cannot be read at the start.
    """

    def __init__(self, what: str, paths: Sequence[Path], read: Callable[[], Content]) -> None:
        self._what = what
        self._paths = tuple(paths)
        self._read = read
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._content = read()

    def get(self) -> Content:
        """The content, of now or of the last time that it could be read."""
        stamp = self._look()
        if stamp == self._stamp:
            return self._content
        with self._lock:
            if stamp != self._stamp:
                # Set first: a broken file is told once and not at every call.
                self._stamp = stamp
                self._reload()
        return self._content

    def _reload(self) -> None:
        files = [str(path) for path in self._paths]
        try:
            self._content = self._read()
        except (ConfigError, OSError) as error:
            _log.error(f"{self._what} changed and cannot be used; the old go on", files=files, reason=str(error))
        else:
            _log.info(f"{self._what} read again", files=files)

    def _look(self) -> Stamp:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
