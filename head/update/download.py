"""A bundle on its way to the disk: in chunks, at a pace, gone on with where it broke."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isthmus.errors import BundleError, LimitExceeded, RemoteProtocolError, TailUnavailable
from isthmus.head.update.source import Offer, Transfer, UpdateSource
from isthmus.head.update.store import Incoming, UpdateStore, not_written

SYNC_BYTES = 4 << 20
"""To the disk every so many bytes: a card that gets everything at the end is busy for seconds, and sinks wait for it."""
CHUNK_MAX_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadSettings:
    """How a transfer runs."""

    bytes_per_s: float | None = 1e6
    """Pace of a transfer: a camera's uplink is its own, but answers come the same way as bundles. None is no limit."""
    size_max_bytes: int = 1 << 30
    """Larger ones are refused before anything of them is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A whole archive on the disk, in the store's part."""

    sha256: str
    tag: str
    went_on: bool
    """Whether a part of it was there from an earlier attempt; that may have been damaged by a power cut."""


def download(
    source: UpdateSource,
    store: UpdateStore,
    settings: DownloadSettings,
    *,
    wait: Callable[[float], bool],
    on_bytes: Callable[[int], None] = lambda _count: None,
) -> Download:
    """Fetch what the source has.

    Args:
        source: where from.
        store: where to; whoever calls is alone there.
        settings: pace and size.
        wait: called with seconds to wait between chunks; True: give up.
        on_bytes: told the size of every chunk.

    Returns:
        What is on the disk now.

    Raises:
        TailUnavailable: it broke; the part stays and the next attempt goes on with it.
        BundleError: what came is not what was announced; the part is gone.
        LimitExceeded: it is too large.
        DeviceError: the disk is full or cannot be written; the part is gone.
    """
    held = store.incoming()
    offset = store.part.stat().st_size if held is not None else 0
    with source.open(held, offset) as transfer:
        # A place that lies about its offset could only have a wrong archive refused.
        if transfer.offset > offset:
            raise RemoteProtocolError(f"{source.name} goes on at {transfer.offset}, {offset} bytes are here")
        expected = _check(transfer.offer, settings, source.name)
        store.check_room(expected.size_bytes - transfer.offset)
        if transfer.offset == 0:
            store.expect(expected)
        try:
            with store.part.open("r+b") as stream:
                stream.truncate(transfer.offset)
                stream.seek(transfer.offset)
                _copy(transfer, stream, settings, source.name, wait, on_bytes)
        except OSError as error:
            # Room for others is worth more than the part.
            store.discard_incoming()
            raise not_written(store.part, error) from error
    digest = _sha256(store.part)
    if expected.sha256 and digest != expected.sha256:
        store.discard_incoming()
        raise BundleError(
            f"what {source.name} sent has SHA-256 {digest[:12]}, announced was {expected.sha256[:12]}; "
            "it is fetched anew next time"
        )
    return Download(sha256=digest, tag=expected.tag, went_on=transfer.offset > 0)


def _check(offer: Offer, settings: DownloadSettings, name: str) -> Incoming:
    if offer.size_bytes > settings.size_max_bytes:
        raise LimitExceeded(f"{name} has {offer.size_bytes} bytes, at most {settings.size_max_bytes} are taken")
    return Incoming(size_bytes=offer.size_bytes, sha256=offer.sha256, tag=offer.tag)


def _copy(
    transfer: Transfer,
    stream: BinaryIO,
    settings: DownloadSettings,
    name: str,
    wait: Callable[[float], bool],
    on_bytes: Callable[[int], None],
) -> None:
    got, synced, size = transfer.offset, transfer.offset, transfer.offer.size_bytes
    began, began_at = time.monotonic(), transfer.offset
    for chunk in transfer.chunks:
        got += len(chunk)
        if got > size or len(chunk) > CHUNK_MAX_BYTES:
            raise RemoteProtocolError(f"{name} sends more than the {size} bytes that it announced")
        stream.write(chunk)
        on_bytes(len(chunk))
        if got - synced >= SYNC_BYTES:
            _sync(stream)
            synced = got
        due_s = 0.0 if settings.bytes_per_s is None else (got - began_at) / settings.bytes_per_s
        if wait(max(0.0, began + due_s - time.monotonic())):
            raise TailUnavailable(f"the transfer from {name} was stopped after {got} of {size} bytes; it goes on there next time")
    _sync(stream)
    if got < size:
        raise TailUnavailable(f"{name} ended after {got} of {size} bytes; the transfer goes on there next time")


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
