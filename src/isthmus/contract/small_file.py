"""Files of a few kilobytes from outside: read with a limit, written whole or not at all."""

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from isthmus.errors import IsthmusError


def read(path: Path, *, size_max: int, error: type[IsthmusError], follow_links: bool = True) -> bytes:
    """Read a whole file, never more than `size_max` bytes and never from a pipe or a device, which could block for ever.

    Args:
        path: a regular file.
        size_max: in bytes.
        error: what is raised for a file that cannot be read, is too large or is no regular file.
        follow_links: whether the last part of the path may be a symbolic link.

    Raises:
        FileNotFoundError: there is nothing; whoever calls knows what that means.
        error: as given.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    if not follow_links and path.is_symlink():
        raise error(f"{path} is a link; a file is needed")
    try:
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise error(f"{path} is not a regular file")
            data = stream.read(size_max + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as cause:
        raise error(f"{path} cannot be read: {getattr(cause, 'strerror', None) or cause}") from cause
    if len(data) > size_max:
        raise error(f"{path} has more than the {size_max} bytes that are read of such a file")
    return data


def create(path: Path, data: bytes, *, mode: int, error: type[IsthmusError]) -> None:
    """Write a new file; one that is there already, even a dangling link, is never touched.

    Args:
        path: where nothing is yet.
        data: all of it.
        mode: permissions, from which the umask takes.
        error: what is raised if the file is there or cannot be written; nothing of it is left then.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as cause:
        raise error(f"{path} is there already and is not overwritten; choose another name") from cause
    except OSError as cause:
        raise error(f"{path} cannot be written: {cause.strerror}") from cause
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _write_through(stream, data)
    except OSError as cause:
        path.unlink(missing_ok=True)
        raise error(f"{path} cannot be written: {cause.strerror}") from cause


def replace(path: Path, data: bytes, *, like: Path) -> None:
    """Put a file in place of an older one in one step, with the permissions of `like`.

    Raises:
        OSError: it cannot be written; the older file is as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _write_through(stream, data)
        shutil.copymode(like, name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def put(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file in one step, whether or not there is an older one, and see it and its name on the disk.

    What a power cut left of an earlier attempt is written over: there is one name for it, so nothing piles up.

    Raises:
        OSError: it cannot be written; an older file is as it was.
    """
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _write_through(stream, data)
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A name is on the disk when its folder is.

    Raises:
        OSError: it is not.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_through(stream: BinaryIO, data: bytes) -> None:
    """To the disk and not only to the cache: a name that survives a power cut must not name an empty file."""
    stream.write(data)
    stream.flush()
    os.fsync(stream.fileno())
