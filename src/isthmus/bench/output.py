"""Files for people and programs to read: each appears whole or not at all."""

import contextlib
import datetime
import os
from pathlib import Path

from isthmus.errors import ConfigError


def write_whole(path: Path, text: str) -> None:
    """Write a text file, and its folder if that is missing.

    Raises:
        ConfigError: the file cannot be written; an older one is as it was.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def now() -> str:
    """Date and time for files, to the second, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
