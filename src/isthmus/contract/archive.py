"""The zip of a bundle: uncompressed, so that no member is longer than what lies in the file."""

import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from isthmus.errors import BundleError

ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError, OverflowError)
"""What zipfile raises on damaged, encrypted or exotic archives; found by changing bytes at random."""


def pack(target: Path, files: Mapping[str, Path]) -> None:
    """Write an archive and see it on the disk.

    Args:
        target: the archive.
        files: name in the archive -> file, in the order in which they are written.
    """
    # A board without a clock battery may believe in 1970, which a zip cannot express.
    with target.open("wb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for name, path in files.items():
                archive.write(path, name)
        stream.flush()
        os.fsync(stream.fileno())


def copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, *, size_max: int, origin: Path) -> None:
    """Copy one member to its place in a folder; the caller has checked that its name stays inside.

    Raises:
        BundleError: it is compressed, or larger than `size_max` bytes.
    """
    if member.compress_type != zipfile.ZIP_STORED:
        raise BundleError(f"{origin}: {member.filename} is compressed; a bundle is an uncompressed zip")
    if member.file_size > size_max:
        raise BundleError(f"{origin} is damaged: {member.filename} has {member.file_size} bytes, expected at most {size_max}")
    path = folder / member.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("wb") as sink:
        shutil.copyfileobj(source, sink)
