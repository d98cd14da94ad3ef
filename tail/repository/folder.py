"""A repository on disk: what of it is served, and when that changes.

Of every name the newest versions that can be loaded are served, one unless `serve.toml` says otherwise. A version is loaded
beside what is served and takes its place only when it has passed its checks; what is replaced, or gone from the disk, is retired.
A copy in progress does not match its manifest, or changes while it is read; either way it is refused, and tried again when its
files are others. Whatever goes wrong with one version is logged, told by the index, and leaves the others served.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleNotServed, ConfigError, IsthmusError
from isthmus.tail.catalog import TEXT_MAX, Catalog, version_number
from isthmus.tail.repository import listing, serve_file
from isthmus.tail.repository.listing import Listing
from isthmus.tail.repository.repository import Entry, Repository, State
from isthmus.tail.repository.shelf import Retire, Shelf, Version
from isthmus.tail.settings import ServerSettings
from isthmus.tail.watching.metrics import Metrics

Mode = Literal["none", "poll", "explicit"]
NAMES_MAX = 20
"""In a message that lists what there is."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFolder:
    """Where a repository is, and who decides what of it is served."""

    path: Path
    mode: Mode = "none"
    """`none`: what is there at the start; `poll`: what is there now; `explicit`: what is asked for."""
    poll_s: float = 15.0
    """Between two looks. Looking at 100 bundles takes milliseconds; Triton's default."""
    load: tuple[str, ...] = ()
    """Names to load at the start, with `explicit`."""
    trusted: TrustedKeys | None = None
    """One of these must have signed every bundle; None asks for no signature."""

    def __post_init__(self) -> None:
        if self.load and self.mode != "explicit":
            raise ConfigError(f"mode {self.mode} decides by itself what is loaded; name bundles with mode explicit only")
        if not self.poll_s > 0:
            raise ConfigError(f"the repository is to be looked at every {self.poll_s:g} s; more than 0 is needed")


class FolderRepository(Repository):
    """Serves a folder.

    Args:
        source: which folder, and how.
        catalog: gets what is loaded.
        settings: for bundles that have none of their own.
        metrics: counts loads and unloads.
        retire: asks the streams of a version to leave.
        on_change: called after something was loaded or retired.
    """

    def __init__(
        self,
        source: RepositoryFolder,
        catalog: Catalog,
        settings: ServerSettings,
        metrics: Metrics,
        *,
        retire: Retire,
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        self._source = source
        self._catalog = catalog
        self._on_change = on_change
        self._shelf = Shelf(catalog, settings, metrics, trusted=source.trusted, retire=retire)
        self._listing = Listing(versions={}, skipped={})
        self._wanted: set[str] = set()
        # One change at a time: two loads at once would need the memory of both, and could undo each other.
        self._changing = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is to be served from the beginning.

        Raises:
            ConfigError: the folder cannot be read.
            BundleNotServed: it has no bundle of a name to load, or none at all and none can come.
            BundleError: none that it has can be loaded, and none can come.
        """
        source = self._source
        errors = await self._look(first=True) if source.mode != "explicit" else await self._load_named()
        if source.mode == "none" and not len(self._catalog):
            raise (
                errors[0]
                if errors
                else BundleNotServed(
                    f"{source.path} holds no bundle: {self._skipped()}; "
                    "a bundle folder, a .isthmus file, or <repository>/<name>/<version>/ with one of them is needed"
                )
            )
        if source.mode == "poll":
            self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Look no more, and let everything go."""
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
        await self._shelf.close()

    @property
    def ready(self) -> bool:
        """Whether of every name that was there at the start or was served since, and is not gone, some version is served."""
        return all(self._shelf.served(name) for name in self._wanted)

    def index(self) -> tuple[Entry, ...]:
        """What lay in the folder when it was last looked at, and what is in memory."""
        known = {(version.name, version.version): version for version in self._shelf}
        for found in (found for versions in self._listing.versions.values() for found in versions):
            known.setdefault((found.name, found.version), Version(found.name, found.version))
        ordered = sorted(known.values(), key=lambda version: (version.name, version_number(version.version)))
        return tuple(self._entry(version) for version in ordered)

    async def look(self) -> None:
        """Look at the folder now, and serve what it has.

        Raises:
            ConfigError: it cannot be read; what is served stays.
        """
        await self._look()

    async def settled(self) -> None:
        """Returns when nothing is being retired."""
        await self._shelf.settled()

    async def load(self, name: str, version: str = "") -> None:
        """Load a version beside those that are served; without a version, serve what the policy says of the name and no other.

        If the newest version cannot be loaded, the next older one is served, and the error of the newest is raised.
        """
        self._check_explicit()
        async with self._changing:
            await self._list()
            found = self._listing.find(name, version)
            if not found:
                raise self._not_there(name, version)
            try:
                if version:
                    await self._shelf.bring(found[0])
                elif errors := await self._settle(name, again=True):
                    raise errors[0]
                self._wanted.add(name)
            finally:
                await self._on_change()

    async def unload(self, name: str, version: str = "") -> None:
        """Retire one version of a name, or all."""
        self._check_explicit()
        async with self._changing:
            name = self._catalog.find(name, version).name
            for held in self._shelf.served(name):
                if version in ("", held.version):
                    self._shelf.retire(held, f"{held.name} {held.version} was unloaded")
            if not self._shelf.served(name):
                self._wanted.discard(name)
            await self._on_change()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._source.poll_s)
            try:
                await self._look()
            except ConfigError as error:
                _log.error("repository cannot be read; what is served stays", reason=str(error))
            except Exception:
                _log.exception("looking at the repository failed; what is served stays")

    async def _look(self, *, first: bool = False) -> list[IsthmusError]:
        async with self._changing:
            await self._list()
            there, errors = set(self._listing.versions), []
            for name in sorted({*there, *(version.name for version in self._shelf)} - self._listing.unreadable):
                errors += await self._settle(name)
            self._wanted &= there | self._listing.unreadable
            self._wanted |= {name for name in there if first or self._shelf.served(name)}
            await self._on_change()
            return errors

    async def _load_named(self) -> list[IsthmusError]:
        async with self._changing:
            await self._list()
            errors = []
            for name in self._source.load:
                if not self._listing.find(name):
                    raise self._not_there(name)
                errors += await self._settle(name)
            self._wanted = set(self._source.load)
            return errors

    async def _list(self) -> None:
        known = self._listing.skipped
        self._listing = await asyncio.to_thread(listing.look, self._source.path)
        for path, why in self._listing.skipped.items():
            if known.get(path) != why:
                _log.warning("not served", path=repr(str(path)), reason=why)
        for version in self._shelf:
            if not self._listing.find(version.name, version.version):
                self._shelf.forget(version)

    async def _settle(self, name: str, *, again: bool = False) -> list[IsthmusError]:
        """Serve the newest versions of a name that can be loaded, and retire the others.

        Args:
            name: of the bundle.
            again: whether to try files that failed before.

        Returns:
            What went wrong with versions that should be served.
        """
        there = self._listing.find(name)
        wanted = await self._count(name)
        kept: list[str] = []
        errors: list[IsthmusError] = []
        for found in there:
            if len(kept) == wanted:
                break
            version = self._shelf.version(found)
            if again or version.failed != found.fingerprint:
                try:
                    await self._shelf.bring(found)
                except IsthmusError as error:
                    errors.append(error)
            if version.served is not None:
                kept.append(found.version)
        for version in self._shelf.served(name):
            if version.version not in kept:
                replaced = kept and any(found.version == version.version for found in there)
                why = f"is replaced by version {kept[0]}" if replaced else "was removed from the repository"
                self._shelf.retire(version, f"{version.name} {version.version} {why}")
        return errors

    async def _count(self, name: str) -> int:
        """How many versions of a name are to be served."""
        try:
            said = (await asyncio.to_thread(serve_file.read, self._source.path / name)).versions
        except ConfigError:
            # Loading tells what is wrong with it; meanwhile what is served stays.
            return max(1, len(self._shelf.served(name)))
        return len(self._listing.find(name)) if said == "all" else said

    def _entry(self, version: Version) -> Entry:
        state: State = "UNAVAILABLE"
        reason = version.failure
        if version.loading:
            state = "LOADING"
        elif version.served is not None:
            state = "READY"
            reason = reason and f"newer files of it cannot be loaded: {reason}"
        elif version.leaving:
            state = "UNLOADING"
        else:
            others = ", ".join(other.version for other in self._shelf.served(version.name))
            reason = reason or (f"version {others} is served" if others else "not loaded")
        return Entry(name=version.name, version=version.version, state=state, reason=reason)

    def _check_explicit(self) -> None:
        if self._source.mode != "explicit":
            raise ConfigError(
                f"this server runs with --mode {self._source.mode}, where nobody asks for loads and unloads; "
                "serve with --mode explicit"
            )

    def _not_there(self, name: str, version: str = "") -> BundleNotServed:
        asked = repr(name[:TEXT_MAX]) + (f" version {version[:TEXT_MAX]!r}" if version else "")
        names = sorted(self._listing.versions)
        held = ", ".join(map(repr, names[:NAMES_MAX])) + (f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else "")
        if version and name in self._listing.versions:
            held = f"{name!r} in version {', '.join(found.version for found in self._listing.find(name)[:NAMES_MAX])}"
        return BundleNotServed(f"the repository has no bundle {asked}; it has {held or 'none'}")

    def _skipped(self) -> str:
        for path, why in self._listing.skipped.items():
            return f"{path} {why}"
        return "it is empty"
