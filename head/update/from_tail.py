"""Bundles from the servers of the device, over `FetchBundle`, on a connection of their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import BundleNotServed, IsthmusError, Overloaded, RemoteProtocolError, TailUnavailable
from isthmus.head import handshake
from isthmus.head.addresses import check_address, preferred_order
from isthmus.head.credentials import Credentials
from isthmus.head.statuses import from_status
from isthmus.head.stream import CHANNEL_OPTIONS
from isthmus.head.update.source import Offer, Transfer, UpdateSource
from isthmus.head.update.store import Incoming

LOOK_TIMEOUT_S = 60.0
"""The first time a server reads the whole bundle for its digest."""
TRANSFER_TIMEOUT_S = 900.0
"""A server makes room for others after ten minutes; what is still open long after that hangs."""
_Call = Iterator[wire.BundleChunk]


class TailSource(UpdateSource):
    """Equal servers: what one began to send another goes on with.

    Args:
        addresses: `host:port` of each.
        bundle: name or id of the bundle; empty: the only one there is.
        device_id: of equal servers a device prefers one, as its link does.
        credentials: TLS and token; default plain connections without a token.

    Raises:
        ConfigError: an address is none, or one that the token must not go to.
    """

    def __init__(
        self, addresses: Sequence[str], *, bundle: str, device_id: str = "", credentials: Credentials | None = None
    ) -> None:
        self._addresses = preferred_order(device_id, [check_address(address) for address in addresses])
        self._credentials = credentials or Credentials()
        for address in self._addresses:
            self._credentials.check_address(address)
        self._bundle = bundle
        self._running: grpc.Call | None = None
        self.name = ", ".join(self._addresses)

    def look(self) -> Offer:
        """Ask the servers, the preferred one first."""
        with self._first_that_answers(wire.FetchBundleRequest(bundle=self._bundle, look_only=True), LOOK_TIMEOUT_S) as begun:
            return _offer(begun[0])

    @contextmanager
    def open(self, held: Incoming | None, offset: int) -> Iterator[Transfer]:
        """Take the archive, from the offset on where a server has the same one."""
        request = wire.FetchBundleRequest(bundle=self._bundle)
        if held is not None and held.sha256:
            request.offset, request.archive_digest = offset, bytes.fromhex(held.sha256)
        with self._first_that_answers(request, TRANSFER_TIMEOUT_S) as (first, address, call):
            yield Transfer(offer=_offer(first), offset=first.offset, chunks=self._data(address, call, first.offset))

    def interrupt(self) -> None:
        """Cancel the call that runs."""
        if self._running is not None:
            self._running.cancel()

    @contextmanager
    def _first_that_answers(
        self, request: wire.FetchBundleRequest, timeout_s: float
    ) -> Iterator[tuple[wire.BundleChunk, str, _Call]]:
        failures: list[IsthmusError] = []
        metadata = self._credentials.metadata()
        for address in self._addresses:
            with self._credentials.open_channel(address, CHANNEL_OPTIONS) as channel:
                call = split_pb2_grpc.TailStub(channel).FetchBundle(request, timeout=timeout_s, metadata=metadata)
                self._running = call
                try:
                    try:
                        first = next(call)
                    except StopIteration:
                        failures.append(RemoteProtocolError(f"{address} ended the transfer before it said what it sends"))
                        continue
                    except grpc.RpcError as error:
                        failures.append(self._explain(address, error))
                        continue
                    yield first, address, call
                    return
                finally:
                    self._running = None
                    call.cancel()
        raise _worst(failures)

    def _data(self, address: str, call: _Call, offset: int) -> Iterator[bytes]:
        try:
            for chunk in call:
                if chunk.offset != offset:
                    raise RemoteProtocolError(f"{address} sends the bytes from {chunk.offset} on, those from {offset} on are due")
                offset += len(chunk.data)
                yield chunk.data
        except grpc.RpcError as error:
            raise self._explain(address, error) from error

    def _explain(self, address: str, error: grpc.RpcError) -> IsthmusError:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return BundleNotServed(f"{address}: {error.details()}")
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return BundleNotServed(f"{address} is of a version that hands out no bundles; update the server first")
        return handshake.explain(address, self._credentials, error.details() or "") or from_status(address, error)


def _offer(first: wire.BundleChunk) -> Offer:
    if len(first.archive_digest) != 32 or len(first.manifest_digest) not in (0, 32):
        raise RemoteProtocolError(f"the server names a digest of {len(first.archive_digest)} bytes; a SHA-256 has 32")
    return Offer(size_bytes=first.archive_bytes, sha256=first.archive_digest.hex(), manifest_sha256=first.manifest_digest.hex())


def _worst(failures: Sequence[IsthmusError]) -> IsthmusError:
    """What to say where no server gives the bundle: one that is only busy will give it later, and one that is away perhaps."""
    for kind in (Overloaded, TailUnavailable):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return failures[0]
