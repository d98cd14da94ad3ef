"""The versions of a repository that are in memory: loaded beside what is served, swapped in, and retired in the background."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import structlog

from isthmus.contract.bundle import AnyBundle, open_any
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleError, DeviceError, IsthmusError
from isthmus.tail.catalog import Catalog
from isthmus.tail.repository import loading, serve_file
from isthmus.tail.repository.listing import Found
from isthmus.tail.served import AnyServed
from isthmus.tail.settings import ServerSettings
from isthmus.tail.watching.metrics import Metrics

Retire = Callable[[AnyServed, str], Awaitable[None]]
"""Asks the streams of a version to leave, for a reason; returns when none is left."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Version:
    """What became of one version."""

    name: str
    version: str
    served: AnyServed | None = None
    settings: ServerSettings | None = None
    fingerprint: str = ""
    """Of the files that are served."""
    loading: bool = False
    leaving: int = 0
    """Loads of it that are being retired."""
    failure: str = ""
    """Why the last attempt to load it failed; empty after one that did not."""
    failed: str = ""
    """Fingerprint of the files that cannot be loaded, whoever tries. Empty where another attempt may go better."""


class Shelf:
    """Loads and retires versions; whoever calls sees to it that one is loaded at a time.

    Args:
        catalog: gets what is loaded.
        settings: for bundles that have none of their own.
        metrics: counts loads and unloads.
        trusted: keys of which one must have signed a bundle; None asks for no signature.
        retire: see `Retire`.
    """

    def __init__(
        self, catalog: Catalog, settings: ServerSettings, metrics: Metrics, *, trusted: TrustedKeys | None, retire: Retire
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._metrics = metrics
        self._trusted = trusted
        self._retire_streams = retire
        self._versions: dict[tuple[str, str], Version] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Version]:
        return iter(tuple(self._versions.values()))

    def served(self, name: str) -> list[Version]:
        """Versions of a name that are served."""
        return [version for version in self if version.name == name and version.served is not None]

    def version(self, found: Found) -> Version:
        """What is known of a version that lies on the disk."""
        return self._versions.setdefault((found.name, found.version), Version(found.name, found.version))

    async def bring(self, found: Found) -> None:
        """See to it that a version is served as its files are now.

        Raises:
            ConfigError: the settings beside it are wrong.
            BundleError: it is not sound, not signed as asked, or was changed while it was read.
            DeviceError: its networks do not run here.
        """
        version = self.version(found)
        if version.served is not None and version.fingerprint == found.fingerprint:
            return
        version.loading = True
        try:
            await self._load(version, found)
        except IsthmusError as error:
            self._failed(version, found, error)
            raise
        except Exception as error:
            # Whatever it is (no memory, a fault in a library): what is served goes on.
            self._failed(version, found, error)
            raise DeviceError(f"{found} cannot be loaded: {error!r}") from error
        finally:
            version.loading = False

    def retire(self, version: Version, reason: str) -> None:
        """Offer a version no longer, and let it go in the background."""
        if (served := version.served) is None:
            return
        version.served, version.settings, version.fingerprint = None, None, ""
        self._catalog.remove(served)
        self._let_go(version, served, reason)

    def forget(self, version: Version) -> None:
        """It is neither served nor on the disk any more."""
        if version.served is None and not version.loading and not version.leaving:
            del self._versions[version.name, version.version]

    async def settled(self) -> None:
        """Returns when nothing is being retired."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Let everything go; streams have ended before."""
        await self.settled()
        for version in self:
            if version.served is not None:
                self._catalog.remove(version.served)
                await version.served.close()

    async def _load(self, version: Version, found: Found) -> None:
        settings = (await asyncio.to_thread(serve_file.read, found.folder)).over(self._settings)
        bundle = await asyncio.to_thread(open_any, found.path, trusted=self._trusted)
        if _is_as_served(version, bundle, settings):
            await self._check_left_alone(found)
        else:
            served = await loading.load(bundle, settings, name=found.name, version=found.version)
            try:
                await self._check_left_alone(found)
            except BundleError:
                await served.close()
                raise
            self._put(version, served, settings)
        version.fingerprint, version.failure, version.failed = found.fingerprint, "", ""

    async def _check_left_alone(self, found: Found) -> None:
        try:
            now = await asyncio.to_thread(found.fingerprint_now)
        except OSError as error:
            raise BundleError(f"{found} went away while it was read: {error.strerror}") from error
        if now != found.fingerprint:
            raise BundleError(f"the files of {found} were changed while they were read; copy a bundle whole, then load it")

    def _put(self, version: Version, served: AnyServed, settings: ServerSettings) -> None:
        replaced, version.served, version.settings = version.served, served, settings
        self._catalog.add(served)
        self._metrics.loaded(ok=True)
        if replaced is not None:
            self._let_go(version, replaced, f"{replaced} is replaced by newer files of the same version")

    def _let_go(self, version: Version, served: AnyServed, reason: str) -> None:
        version.leaving += 1
        task = asyncio.create_task(self._leave(version, served, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _leave(self, version: Version, served: AnyServed, reason: str) -> None:
        _log.info("bundle drains", bundle=served.name, version=served.version, reason=reason)
        try:
            await self._retire_streams(served, reason)
            await served.close()
        finally:
            version.leaving -= 1
        self._metrics.unloaded()
        _log.info("bundle unloaded", bundle=served.name, version=served.version)

    def _failed(self, version: Version, found: Found, error: Exception) -> None:
        version.failure = str(error) if isinstance(error, IsthmusError) else repr(error)
        # The machine may have room later; a bundle that is wrong stays wrong until its files change.
        is_final = isinstance(error, IsthmusError) and not isinstance(error, DeviceError)
        version.failed = found.fingerprint if is_final else ""
        self._metrics.loaded(ok=False, message=f"{found.name} {found.version}: {version.failure}")
        _log.error("bundle not loaded", bundle=found.name, version=found.version, reason=version.failure)


def _is_as_served(version: Version, bundle: AnyBundle, settings: ServerSettings) -> bool:
    """Whether files were touched only. The manifest has the digest of everything that is used."""
    return (
        version.served is not None
        and version.served.bundle.manifest_bytes == bundle.manifest_bytes
        and version.settings == settings
    )
