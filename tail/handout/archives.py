"""The archives of what is served: made once, in a thread, and forgotten when others are asked for."""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from isthmus.contract.bundle import UNSIGNED_FILES, AnyBundle
from isthmus.contract.packed import PackedBundle

KEPT_MAX = 16
"""About a kilobyte each; finding a digest again takes reading the whole bundle."""

_Key = tuple[Path, bytes, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A bundle's archive with its digests, as bytes."""

    packed: PackedBundle
    sha256: bytes
    manifest_sha256: bytes


class Archives:
    """Archives by bundle; only the event loop calls it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Archive] = OrderedDict()
        # One at a time: a fleet asks for the same one, and reading two at once is no faster.
        self._making = asyncio.Lock()

    async def of(self, bundle: AnyBundle) -> Archive:
        """The archive of a bundle that is served.

        Raises:
            BundleError: its files are gone or were changed.
        """
        async with self._making:
            # Signatures may be added while the bundle is served: they lie in the archive and not in the manifest.
            key = await asyncio.to_thread(_key, bundle)
            archive = self._kept.get(key)
            if archive is None:
                archive = self._kept[key] = await asyncio.to_thread(_make, bundle)
                while len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return archive


def _key(bundle: AnyBundle) -> _Key:
    stats = []
    for name in UNSIGNED_FILES:
        try:
            found = (bundle.folder / name).stat()
            stats.append((found.st_mtime_ns, found.st_size))
        except OSError:
            stats.append((0, -1))
    return bundle.folder, bundle.manifest_bytes, tuple(stats)


def _make(bundle: AnyBundle) -> Archive:
    packed = PackedBundle(bundle)
    return Archive(
        packed=packed,
        sha256=bytes.fromhex(packed.sha256),
        manifest_sha256=hashlib.sha256(bundle.manifest_bytes).digest(),
    )
