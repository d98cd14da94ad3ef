"""`FetchBundle`: hands a bundle to a device that updates itself.

What is served can be fetched, and nothing else. A chunk is read from the disk when its turn has come and the one before it has
been taken by the transport, so a transfer holds one chunk in memory however slow the device is. A transfer that takes too long
gives its place to the next device, and goes on later from where it stood: whoever asks with the digest of the archive continues.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import DEFAULT
from isthmus.contract.packed import PackedBundle
from isthmus.errors import IsthmusError, LimitExceeded, Overloaded, RemoteProtocolError, TailUnavailable
from isthmus.tail.admission.handout import HandoutLimits
from isthmus.tail.catalog import Catalog
from isthmus.tail.handout.archives import Archive, Archives
from isthmus.tail.handout.turns import RETRY_MS, Turns
from isthmus.tail.served import AnyServed
from isthmus.tail.watching.updates import Result, UpdateFigures

CHUNK_BYTES = 64 << 10
"""A fraction of a millisecond of the event loop; sixteen of a device's slow second."""
STALLED_S = 30.0
"""A device that takes no chunk for so long is gone, or will come back."""
TRANSFER_MAX_S = 600.0
"""Then another device has a turn; 10 minutes are 30 MB at 50 kB/s."""
DIGEST_BYTES = 32

Write = Callable[[wire.BundleChunk], Awaitable[None]]

_audit = structlog.get_logger("isthmus.audit")


class Handout:
    """Sends archives of what is served.

    Args:
        catalog: what is served.
        limits: of all transfers together.
        figures: counts them.
        clock: seconds, monotonic.
    """

    def __init__(
        self, catalog: Catalog, limits: HandoutLimits, figures: UpdateFigures, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalog = catalog
        self._figures = figures
        self._clock = clock
        self._archives = Archives()
        self._turns = Turns(limits, burst=CHUNK_BYTES, clock=clock)
        figures.running = lambda: self._turns.running

    async def send(self, request: wire.FetchBundleRequest, write: Write, *, by: str) -> None:
        """Answer one request; every transfer leaves a line in the audit log.

        Args:
            request: which bundle, and from where on.
            write: sends a chunk; returns when the transport has taken it.
            by: who asks.

        Raises:
            BundleNotServed: there is no such bundle here.
            BundleError: its files are gone or were changed.
            LimitExceeded: a text is too long.
            RemoteProtocolError: the request contradicts itself.
            Overloaded: there is no place now; or the transfer has to make room for others, and can go on later.
            TailUnavailable: the device takes nothing any more.
        """
        if request.look_only:
            served, archive, offset = await self._look_up(request)
            await write(_first(served, archive, offset))
            return
        audit = _audit.bind(by=by, bundle=repr(request.bundle[: DEFAULT.text_bytes]), offset=request.offset)
        result: Result = "refused"
        try:
            served, archive, offset = await self._look_up(request)
            audit = audit.bind(served=str(served), contract=served.bundle.digest[:12], offset=offset)
            with self._turns.place():
                result = "broken"
                await write(_first(served, archive, offset))
                await self._transfer(archive.packed, offset, write)
                result = "complete"
            audit.info("bundle handed out", sent_bytes=archive.packed.size_bytes - offset)
        except _OutOfTime as error:
            result = "paused"
            audit.info("bundle handed out in part", reason=str(error))
            raise
        except IsthmusError as error:
            audit.warning("bundle refused" if result == "refused" else "bundle handed out in part", reason=str(error))
            raise
        except asyncio.CancelledError:
            audit.info("bundle handed out in part", reason="the device went away")
            raise
        finally:
            self._figures.ended(result)

    async def _look_up(self, request: wire.FetchBundleRequest) -> tuple[AnyServed, Archive, int]:
        """What is asked for, and where to begin."""
        _check(request)
        served = self._find(request)
        archive = await self._archives.of(served.bundle)
        return served, archive, _start(request, archive)

    def _find(self, request: wire.FetchBundleRequest) -> AnyServed:
        """By the name that is served, or by the id that the bundle itself has, which is what a device knows."""
        names = {served.name for served in self._catalog if request.bundle in (served.name, served.bundle.manifest.id)}
        return self._catalog.find(names.pop() if len(names) == 1 else request.bundle, request.version)

    async def _transfer(self, packed: PackedBundle, offset: int, write: Write) -> None:
        until = self._clock() + TRANSFER_MAX_S
        while offset < packed.size_bytes:
            if self._clock() > until:
                raise _OutOfTime(
                    f"{TRANSFER_MAX_S:g} s are over, others have a turn; go on at {offset} of {packed.size_bytes} bytes",
                    retry_after_ms=RETRY_MS,
                )
            data = await asyncio.to_thread(packed.read, offset, CHUNK_BYTES)
            await self._turns.wait(len(data))
            try:
                async with asyncio.timeout(STALLED_S):
                    await write(wire.BundleChunk(offset=offset, data=data))
            except TimeoutError as error:
                raise TailUnavailable(f"the device takes nothing for {STALLED_S:g} s; go on later at {offset}") from error
            offset += len(data)
            self._figures.sent_bytes += len(data)


class _OutOfTime(Overloaded):
    """A transfer has to make room."""


def _check(request: wire.FetchBundleRequest) -> None:
    for field, text in (("bundle", request.bundle), ("version", request.version)):
        if len(text.encode()) > DEFAULT.text_bytes:
            raise LimitExceeded(f"{field} has {len(text.encode())} bytes, at most {DEFAULT.text_bytes} are taken")
    if len(request.archive_digest) not in (0, DIGEST_BYTES):
        raise RemoteProtocolError(f"an archive digest has {DIGEST_BYTES} bytes, got {len(request.archive_digest)}")
    if request.offset and not request.archive_digest:
        raise RemoteProtocolError(f"offset {request.offset} is of no archive; name its digest")


def _start(request: wire.FetchBundleRequest, archive: Archive) -> int:
    """Where the transfer begins: where the device stands, unless that is in another archive."""
    if request.archive_digest != archive.sha256:
        return 0
    if request.offset > archive.packed.size_bytes:
        raise RemoteProtocolError(f"offset {request.offset} lies beyond the {archive.packed.size_bytes} bytes of the archive")
    return request.offset


def _first(served: AnyServed, archive: Archive, offset: int) -> wire.BundleChunk:
    return wire.BundleChunk(
        archive_bytes=archive.packed.size_bytes,
        archive_digest=archive.sha256,
        offset=offset,
        manifest_digest=archive.manifest_sha256,
        bundle=served.name,
        version=served.version,
    )
