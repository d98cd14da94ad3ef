"""Picture files: one, or all of a folder."""

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from isthmus.errors import SourceError
from isthmus.head.frame import Frame, Source
from isthmus.head.picture import PICTURE_SUFFIXES, read_picture

_log = structlog.get_logger()


class PictureSource(Source):
    """Picture files, one after the other; what cannot be read is logged, counted and skipped.

    Args:
        files: what to read, in this order.
        root: frames are named by their place below it.
        loop: start over at the end.
        description: see `Source`.
    """

    def __init__(self, files: Sequence[Path], *, root: Path, loop: bool = False, description: str) -> None:
        self.length = None if loop else len(files)
        self.description = description
        self._files = files
        self._root = root
        self._loop = loop
        self._next = 0
        self._sequence = 0

    def read(self) -> Frame | None:
        """Return the next picture that can be read, or None at the end.

        Raises:
            SourceError: not one of the pictures can be read.
        """
        while self._next < len(self._files) or self._start_over():
            path = self._files[self._next]
            name = path.relative_to(self._root).as_posix()
            self._next += 1
            try:
                image = read_picture(path)
            except SourceError as error:
                self.unreadable += 1
                self._fail_if_nothing_is_left(error)
                _log.warning("picture skipped", name=name, reason=str(error))
                continue
            self._sequence += 1
            return Frame(sequence=self._sequence - 1, image=image, captured_s=time.monotonic(), name=name)
        return None

    def _start_over(self) -> bool:
        self._next = 0 if self._loop else self._next
        return self._loop

    def _fail_if_nothing_is_left(self, error: SourceError) -> None:
        if self._sequence == 0 and self.unreadable == len(self._files):
            raise SourceError(f"{self.description}: nothing can be read; {error}") from error


def pictures_below(folder: Path) -> list[Path]:
    """The pictures of a folder and of the folders in it (one for each class, say), in natural order; hidden ones are left out.

    Raises:
        SourceError: the folder cannot be read, or holds no picture at any depth.
    """
    found: list[Path] = []
    for here, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(here, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    if not found:
        raise SourceError(f"folder {folder} holds no picture; it needs {' '.join(sorted(PICTURE_SUFFIXES))}")
    return sorted(found, key=lambda path: [_natural_order(part) for part in path.relative_to(folder).parts])


def _refuse(error: OSError) -> None:
    raise SourceError(f"folder {error.filename} cannot be read: {error.strerror}") from error


def _natural_order(name: str) -> tuple[list[str | int], str]:
    """Order numbers in names by value; parts alternate between text and number, so they always compare."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
