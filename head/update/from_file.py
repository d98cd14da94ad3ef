"""A bundle that lies on the device, on a stick for example."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.contract.bundle import open_bundle
from isthmus.contract.packed import PackedBundle
from isthmus.errors import BundleError, ConfigError, TailUnavailable
from isthmus.head.update.source import Offer, Transfer, UpdateSource
from isthmus.head.update.store import Incoming

CHUNK_BYTES = 256 << 10


class FileSource(UpdateSource):
    """A `.isthmus` file or a bundle folder, which is packed on the way.

    Args:
        path: where it lies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def look(self) -> Offer:
        """Of a file its size and time, of a folder what its archive would be."""
        if self._path.is_dir():
            packed = PackedBundle(open_bundle(self._path))
            return Offer(size_bytes=packed.size_bytes, sha256=packed.sha256)
        try:
            return self._offer()
        except OSError as error:
            raise BundleError(f"there is no bundle at {self._path}: {error.strerror}") from error

    @contextmanager
    def open(self, held: Incoming | None, offset: int) -> Iterator[Transfer]:
        """Take all of it; nothing on a disk is so slow that it had to be gone on with."""
        offer = self.look()
        if self._path.is_dir():
            packed = PackedBundle(open_bundle(self._path))
            yield Transfer(offer=offer, offset=0, chunks=packed.blocks(size=CHUNK_BYTES))
            return
        yield Transfer(offer=offer, offset=0, chunks=self._data())

    def _data(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as stream:
                while data := stream.read(CHUNK_BYTES):
                    yield data
        except OSError as error:
            raise TailUnavailable(f"{self._path} cannot be read: {error.strerror}") from error

    def _offer(self) -> Offer:
        found = self._path.stat()
        return Offer(size_bytes=found.st_size, tag=f"{self._path.resolve()} {found.st_mtime_ns} {found.st_ino}")


def check_path(path: Path) -> Path:
    """A path that may be a bundle.

    Raises:
        ConfigError: nothing is there.
    """
    if not path.exists():
        raise ConfigError(
            f"{path} is no place for updates: neither tail, HOST:PORT, https://..., nor a file or folder that is there"
        )
    return path
