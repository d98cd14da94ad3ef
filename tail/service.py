"""The gRPC service `isthmus.v1.Tail`: one method each, and the table from our errors to gRPC's status codes."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog

from isthmus import __version__
from isthmus.codec.hidden.codec import MODES
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.contract.overload import retry_metadata
from isthmus.errors import BundleNotServed, IsthmusError, Overloaded, TailUnavailable
from isthmus.tail.admission.client import STREAM_RETRY_MS, Client
from isthmus.tail.admission.clients import Clients
from isthmus.tail.evidence import Relay
from isthmus.tail.generate.conversation import Conversation
from isthmus.tail.generate.served import ServedLanguage
from isthmus.tail.generate.sessions import LanguageSessions
from isthmus.tail.handout.handout import Handout
from isthmus.tail.security import identity
from isthmus.tail.served import AnyServed, Served
from isthmus.tail.streams.house import House
from isthmus.tail.streams.opening import peer_limits
from isthmus.tail.streams.stream import DeviceStream
from isthmus.tail.watching.metrics import refusal

Guest: TypeAlias = DeviceStream | Conversation
"""Whoever has a stream here."""
_log = structlog.get_logger(__name__)


class TailService(split_pb2_grpc.TailServicer):
    """Serves what the catalogue holds.

    Args:
        house: catalogue, sessions, figures and limits.
        relay: fetches pictures from devices.
        handout: sends bundles.
        clients: who may use how much.
        conversations: sessions of language models.
        streams_max: streams of devices and conversations at a time.
    """

    def __init__(
        self,
        house: House,
        relay: Relay,
        handout: Handout,
        clients: Clients,
        conversations: LanguageSessions,
        *,
        streams_max: int,
    ) -> None:
        self._house = house
        self._clients = clients
        self._conversations = conversations
        self._streams_max = streams_max
        self._relay = relay
        self._handout = handout
        self._streams: set[Guest] = set()
        self._started = 0
        self.draining = False

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    async def drain(self, reason: str, grace_s: float) -> None:
        """Refuse new streams, ask every device to leave, and wait until they left or the grace is over."""
        self.draining = True
        await _leave(self._streams, reason, grace_s)

    async def retire(self, served: AnyServed, reason: str, grace_s: float) -> None:
        """Ask the devices of one version, which the catalogue holds no more, to leave, and end what stays after the grace.

        Sessions of its contract are forgotten unless another version has the same.
        """
        house = self._house
        for stream in await _leave({stream for stream in self._streams if stream.served is served}, reason, grace_s):
            stream.cut(reason)
            await stream.ended.wait()
        if all(other.bundle.digest != served.bundle.digest for other in house.catalog):
            house.sessions.forget(served.bundle.digest)
            self._conversations.forget(served.bundle.digest)

    async def Describe(self, request: wire.DescribeRequest, context: Any) -> wire.DescribeReply:  # noqa: ANN401, N802
        """What this server serves and accepts."""
        house = self._house
        try:
            self._clients.find(identity.current()).admit(request.ByteSize())
            described = [house.catalog.find(request.bundle)] if request.bundle else list(house.catalog)
        except (BundleNotServed, Overloaded) as error:
            await _refuse(context, error)
        return wire.DescribeReply(
            server_version=__version__, bundles=[_description(served) for served in described], limits=peer_limits(house.limits)
        )

    async def Stream(self, _requests: object, context: Any) -> None:  # noqa: ANN401, N802
        """One device stream."""
        await self._host(
            context,
            lambda client, number: DeviceStream(self._house, context, client=client, number=number, end_marker=grpc.aio.EOF),
        )

    async def Generate(self, _requests: object, context: Any) -> None:  # noqa: ANN401, N802
        """One language model conversation."""
        await self._host(
            context,
            lambda client, number: Conversation(
                self._house, self._conversations, context, client=client, number=number, end_marker=grpc.aio.EOF
            ),
        )

    async def FetchFrame(self, request: wire.FetchFrameRequest, context: Any) -> wire.FetchFrameReply:  # noqa: ANN401, N802
        """An operator's request for a picture that a device still holds."""
        try:
            self._clients.find(identity.current()).admit(request.ByteSize())
            return await self._relay.fetch(request, by=str(identity.current()), remaining_s=context.time_remaining())
        except IsthmusError as error:
            await _refuse(context, error)

    async def FetchBundle(self, request: wire.FetchBundleRequest, context: Any) -> None:  # noqa: ANN401, N802
        """A bundle for an update over the air."""
        try:
            self._check_not_draining()
            self._clients.find(identity.current()).admit(request.ByteSize())
            # By itself, as for a stream: a status that follows at once would cut in on the first chunk.
            await context.send_initial_metadata(())
            await self._handout.send(request, context.write, by=str(identity.current()))
        except IsthmusError as error:
            await _refuse(context, error)

    async def _host(self, context: Any, make: Callable[[Client, int], Guest]) -> None:  # noqa: ANN401
        """Serve one stream from its first message to its last."""
        client = self._clients.find(identity.current())
        try:
            self._check_room()
            client.open_stream()
        except TailUnavailable as error:
            self._house.metrics.ended("refused")
            self._house.metrics.refused("draining" if self.draining else refusal(error), str(error))
            await _refuse(context, error)
        self._started += 1
        stream = make(client, self._started)
        self._attach(stream)
        reason = "failed"
        try:
            # By itself: gRPC would send it with the first message, and again with a status that cuts in on that message, which
            # fails, so that the device never learns that its stream is over.
            await context.send_initial_metadata(())
            await stream.serve()
            reason = "drained" if stream.drained else "closed"
        except asyncio.CancelledError:
            reason = "cancelled"
            raise
        except IsthmusError as error:
            reason = "refused"
            if not stream.superseded:
                self._house.metrics.refused(refusal(error), str(error), device_id=stream.device_id)
            status = "ABORTED" if stream.superseded else error.grpc_status
            _log.warning("stream refused", stream=stream.number, status=status, reason=str(error))
            await _refuse(context, error, status)
        finally:
            self._detach(stream)
            client.close_stream()
            self._house.metrics.ended(reason)

    def _check_not_draining(self) -> None:
        if self.draining:
            raise TailUnavailable("this server is draining; use another one, or come back later")

    def _check_room(self) -> None:
        self._check_not_draining()
        if len(self._streams) >= self._streams_max:
            raise Overloaded(
                f"all {self._streams_max} streams are taken; try another server, or again later", retry_after_ms=STREAM_RETRY_MS
            )

    def _attach(self, stream: Guest) -> None:
        self._streams.add(stream)

    def _detach(self, stream: Guest) -> None:
        self._streams.discard(stream)
        stream.ended.set()


async def _leave(streams: Iterable[Guest], reason: str, grace_s: float) -> list[Guest]:
    """Ask devices to leave and wait until they left or the grace is over; those that are still there."""
    leaving = list(streams)
    for stream in leaving:
        stream.drain(reason, grace_s)
    try:
        async with asyncio.timeout(grace_s):
            for stream in leaving:
                await stream.ended.wait()
    except TimeoutError:
        leaving = [stream for stream in leaving if not stream.ended.is_set()]
        _log.warning("streams are cut off", streams=len(leaving), grace_s=grace_s, reason=reason)
        return leaving
    return []


def _description(served: AnyServed) -> wire.BundleDescription:
    described = wire.BundleDescription(
        bundle=served.name,
        version=served.version,
        kind=served.bundle.manifest.kind,
        contract_digest=bytes.fromhex(served.bundle.digest),
        provider=served.provider,
    )
    if isinstance(served, Served):
        described.MergeFrom(_frames(served))
    elif isinstance(served, ServedLanguage):
        described.MergeFrom(_language(served))
    return described


def _frames(served: Served) -> wire.BundleDescription:
    manifest = served.bundle.manifest
    return wire.BundleDescription(
        boundary=[
            wire.BoundaryTensor(name=tensor.name, shape=tensor.shape, bits=tensor.bits, signed=tensor.signed)
            for tensor in manifest.boundary.tensors
        ],
        points=[
            wire.OperatingPoint(name=point.name, channels=point.channels, bytes_mean=point.bytes_mean or 0.0)
            for point in manifest.points
        ],
        modes=[wire.Mode.Name(mode) for mode in served.model.modes],
        takes_pictures=served.model.takes_pictures,
    )


def _language(served: ServedLanguage) -> wire.BundleDescription:
    manifest = served.bundle.manifest
    return wire.BundleDescription(
        modes=[wire.Mode.Name(mode) for mode in MODES],
        layouts=served.model.layouts,
        width=manifest.width,
        positions_max=manifest.positions_max,
    )


async def _refuse(context: Any, error: IsthmusError, status: str = "") -> NoReturn:  # noqa: ANN401
    """End a call with the status of an error, or with another one."""
    if isinstance(error, Overloaded):
        context.set_trailing_metadata(retry_metadata(error.retry_after_ms))
    await context.abort(grpc.StatusCode[status or error.grpc_status], str(error))
    raise AssertionError("abort returns never")
