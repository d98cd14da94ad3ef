"""From a source to a bundle that is ready: look, fetch, rehearse, stage. What runs is not touched.

Each step leaves the folder such that the next attempt goes on from there, whenever the power fails: a part of an archive is
gone on with, an archive that is whole is not fetched again, and only a bundle that passed everything is ready.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from isthmus.errors import LimitExceeded, Overloaded, TailUnavailable
from isthmus.head.update.download import Download, DownloadSettings, download
from isthmus.head.update.precedence import Edition
from isthmus.head.update.rehearsal import Part, Refused, rehearse
from isthmus.head.update.source import Offer, UpdateSource
from isthmus.head.update.store import UpdateStore

Kind = Literal["nothing new", "ready", "refused before"]
TURNS_MAX = 1000
"""How often a transfer goes on after it made room for others."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs now."""

    edition: Edition
    manifest_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an attempt came to."""

    kind: Kind
    words: str
    digest: str = ""
    """Of the archive, where it is known."""


Rehearse = Callable[..., None]
"""As `rehearsal.rehearse`."""


class Staging:
    """Takes bundles from sources into a store.

    Args:
        store: where to.
        part: how the agent would run a bundle.
        settings: pace and size of transfers.
        wait: called with seconds to wait; True: give up.
        on_bytes: told the size of every chunk.
        rehearse: see `rehearsal`.
    """

    def __init__(
        self,
        store: UpdateStore,
        part: Part,
        settings: DownloadSettings,
        *,
        wait: Callable[[float], bool],
        on_bytes: Callable[[int], None] = lambda _count: None,
        rehearse: Rehearse = rehearse,
    ) -> None:
        self._store = store
        self._part = part
        self._settings = settings
        self._wait = wait
        self._on_bytes = on_bytes
        self._rehearse = rehearse
        # What is wrong with them may be mended on this device, so this is not for the disk: keys, a library, a downgrade.
        self._skipped: dict[str, str] = {}

    def look(self, source: UpdateSource, running: Running, *, again: bool = False) -> tuple[Finding | None, Offer]:
        """See whether a source has something new; None where it has.

        Raises:
            IsthmusError: as `UpdateSource.look`.
        """
        offer = source.look()
        if offer.size_bytes > self._settings.size_max_bytes:
            raise LimitExceeded(
                f"{source.name} has a bundle of {offer.size_bytes} bytes, at most {self._settings.size_max_bytes} are taken"
            )
        state = self._store.read()
        digest = offer.sha256 or state.tags.get(offer.tag, "")
        runs = offer.manifest_sha256 and offer.manifest_sha256 == running.manifest_sha256
        if runs or (digest and digest == state.current):
            return Finding(kind="nothing new", words=f"{source.name} has what runs here", digest=digest), offer
        if digest and digest == state.next:
            return Finding(kind="ready", words=f"the bundle of {source.name} is ready already", digest=digest), offer
        known = state.rejected.get(digest) or self._skipped.get(digest or offer.tag)
        if known and not again:
            return Finding(kind="refused before", words=f"not taken again: {known}", digest=digest), offer
        return None, offer

    def take(
        self, source: UpdateSource, running: Running, *, again: bool = False, downgrade: bool = False, at_once: bool = False
    ) -> Finding:
        """Get what a source has and make it ready, if it is new.

        Args:
            source: where from.
            running: what it has to follow.
            again: try a bundle that was refused before.
            downgrade: take an older one.
            at_once: the agent is to go over to it whatever the hour.

        Raises:
            DeviceError: another update is under way, or the disk does not take it.
            Refused: the bundle will not do.
            IsthmusError: as `download`; the next attempt goes on from there.
        """
        with self._store.alone():
            known, offer = self.look(source, running, again=again)
            if known is not None:
                if at_once and known.kind == "ready":
                    self._store.change(lambda now: now.stage(known.digest, at_once=True))
                return known
            state = self._store.read()
            digest, tag, went_on = offer.sha256 or state.tags.get(offer.tag, ""), offer.tag, False
            if not digest or not self._store.archive(digest).exists():
                fetched = self._fetch(source)
                digest, tag, went_on = fetched.sha256, fetched.tag, fetched.went_on
                if digest == state.current:
                    self._store.discard_incoming()
                    self._store.change(lambda now: now.seen(tag, digest))
                    return Finding(kind="nothing new", words=f"{source.name} has what runs here", digest=digest)
                self._store.adopt(digest)
                self._store.change(lambda now: now.seen(tag, digest))
                _log.info("update fetched", source=source.name, archive=digest[:12])
            try:
                self._rehearse(
                    self._store.archive(digest),
                    cache=self._store.cache,
                    part=self._part,
                    running=running.edition,
                    downgrade=downgrade,
                    given_up=lambda: self._wait(0.0),
                )
            except Refused as error:
                self._refuse(digest, tag, error, went_on=went_on)
                raise
            self._store.change(lambda now: now.stage(digest, tag, at_once=at_once))
            self._store.prune()
        _log.info("update ready", source=source.name, archive=digest[:12])
        return Finding(kind="ready", words=f"the bundle of {source.name} is ready", digest=digest)

    def _fetch(self, source: UpdateSource) -> Download:
        for _ in range(TURNS_MAX):
            try:
                return download(source, self._store, self._settings, wait=self._wait, on_bytes=self._on_bytes)
            except Overloaded as error:
                _log.info("update waits for its turn", source=source.name, reason=str(error))
                if self._wait(error.retry_after_ms / 1000):
                    raise
        raise TailUnavailable(f"{source.name} gave way to others {TURNS_MAX} times; it is tried again later")

    def _refuse(self, digest: str, tag: str, error: Refused, *, went_on: bool) -> None:
        """Remember a bundle that will not do, unless a power cut may have spoiled it on the way."""
        if went_on and tag:
            _log.warning("a part from an earlier attempt was damaged; fetched anew next time", reason=str(error))
        elif error.lasting:
            self._store.change(lambda now: now.reject(digest, str(error), tag))
        else:
            self._skipped[digest] = self._skipped[tag or digest] = str(error)
        _log.error("update refused", archive=digest[:12], reason=str(error))
        self._store.prune()
