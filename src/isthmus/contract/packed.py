"""The archive of a bundle without writing it: an uncompressed zip whose every byte follows from the bundle's files.

Whoever has the same files has the same archive, to the bit: members stand in one order, with one date and one mode. So a transfer
that broke goes on at another server, and nothing is copied on the disk of the one that sends.

    for each member   local header | its content, as it lies in the file
    at the end        central directory | zip64 end where sizes need it | end

The layout is that of APPNOTE.TXT 6.3 (PKWARE), sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
"""

import hashlib
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from isthmus.contract.bundle import UNSIGNED_FILES, AnyBundle
from isthmus.contract.manifest import MANIFEST_NAME
from isthmus.errors import BundleError

BLOCK_BYTES = 1 << 20
"""Read at a time."""
WIDE_FROM = 0xFFFFFFFF
"""Sizes and offsets from here on need the wide fields of zip64."""
_EPOCH = 0x21
"""1 January 1980, the first day that a zip knows."""
_UNIX = 3 << 8
_MODE = 0o100644 << 16
_STORED_SINCE, _WIDE_SINCE = 20, 45
"""Versions of the format that a reader needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    name: bytes
    path: Path
    size: int
    crc: int
    offset: int

    def local_header(self) -> bytes:
        wide = struct.pack("<HHQQ", 1, 16, self.size, self.size) if self.size >= WIDE_FROM else b""
        size = 0xFFFFFFFF if wide else self.size
        since = _WIDE_SINCE if wide else _STORED_SINCE
        fixed = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", since, 0, 0, 0, _EPOCH, self.crc, size, size, len(self.name), len(wide))
        return fixed + self.name + wide

    def directory_entry(self) -> bytes:
        wide = max(self.size, self.offset) >= WIDE_FROM
        extra = struct.pack("<HHQQQ", 1, 24, self.size, self.size, self.offset) if wide else b""
        size, offset = (0xFFFFFFFF, 0xFFFFFFFF) if wide else (self.size, self.offset)
        since = _WIDE_SINCE if wide else _STORED_SINCE
        lengths = (len(self.name), len(extra), 0, 0, 0)
        fixed = struct.pack("<4sHHHHHHIII", b"PK\1\2", _UNIX | since, since, 0, 0, 0, _EPOCH, self.crc, size, size)
        return fixed + struct.pack("<HHHHHII", *lengths, _MODE, offset) + self.name + extra


class PackedBundle:
    """The archive of an opened bundle; reading it reads the bundle's files.

    Args:
        bundle: opened and checked. Its files must stay as they are; one that changes spoils the digest, which the receiver finds.

    Raises:
        BundleError: a file cannot be read.
    """

    def __init__(self, bundle: AnyBundle) -> None:
        self._origin = bundle.origin
        unsigned = [name for name in UNSIGNED_FILES if (bundle.folder / name).is_file()]
        names = [MANIFEST_NAME, *unsigned, *sorted(bundle.manifest.files)]
        # Headers and files in turns, then the directory; the starts are where each of them begins in the archive.
        self._parts: list[bytes | Path] = []
        self._starts: list[int] = []
        self.size_bytes = 0
        try:
            members = [self._add(name, bundle.folder / name) for name in names]
        except OSError as error:
            raise BundleError(f"{self._origin} cannot be packed: {error.strerror} ({error.filename})") from error
        self._put(self._directory(members))

    @cached_property
    def sha256(self) -> str:
        """Of the whole archive, lower-case hexadecimal; the first time all of it is read.

        Raises:
            BundleError: as `read`.
        """
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    def blocks(self, offset: int = 0, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The archive from `offset` on, in blocks of `size` bytes, the last one shorter."""
        while offset < self.size_bytes:
            block = self.read(offset, size)
            yield block
            offset += len(block)

    def read(self, offset: int, size: int) -> bytes:
        """As a file would be read: `size` bytes from `offset` on, fewer at the end.

        Raises:
            BundleError: a file is gone, or shorter than it was.
        """
        found = bytearray()
        size = min(size, self.size_bytes - offset)
        while len(found) < size:
            found += self._read_part(offset + len(found), size - len(found))
        return bytes(found)

    def _read_part(self, offset: int, size: int) -> bytes:
        index = bisect_right(self._starts, offset) - 1
        part, skipped = self._parts[index], offset - self._starts[index]
        end = self._starts[index + 1] if index + 1 < len(self._starts) else self.size_bytes
        size = min(size, end - offset)
        if isinstance(part, bytes):
            return part[skipped : skipped + size]
        try:
            with part.open("rb") as stream:
                stream.seek(skipped)
                data = stream.read(size)
        except OSError as error:
            raise BundleError(f"{self._origin} cannot be read any more: {error.strerror} ({part.name})") from error
        if not data:
            raise BundleError(f"{self._origin} was changed while it was read: {part.name} is shorter than it was")
        return data

    def _add(self, name: str, path: Path) -> _Member:
        size, crc = 0, 0
        with path.open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                size, crc = size + len(block), zlib.crc32(block, crc)
        member = _Member(name=name.encode("ascii"), path=path, size=size, crc=crc, offset=self.size_bytes)
        self._put(member.local_header())
        if size:
            self._starts.append(self.size_bytes)
            self._parts.append(path)
            self.size_bytes += size
        return member

    def _put(self, data: bytes) -> None:
        self._starts.append(self.size_bytes)
        self._parts.append(data)
        self.size_bytes += len(data)

    def _directory(self, members: list[_Member]) -> bytes:
        start, count = self.size_bytes, len(members)
        entries = b"".join(member.directory_entry() for member in members)
        wide = b""
        if start + len(entries) >= WIDE_FROM or count >= 0xFFFF:
            sizes = struct.pack("<QQQQ", count, count, len(entries), start)
            wide = struct.pack("<4sQHHII", b"PK\6\6", 44, _UNIX | _WIDE_SINCE, _WIDE_SINCE, 0, 0) + sizes
            wide += struct.pack("<4sIQI", b"PK\6\7", 0, start + len(entries), 1)
        few, size, offset = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF) if wide else (count, len(entries), start)
        return entries + wide + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, few, few, size, offset, 0)
