"""One device stream: captures in, answers out in the order in which they are done.

Three tasks: the handler waits for the end, a reader takes one message at a time, a writer sends what is ready. Nothing here
grows with what the device does: it may have `captures_in_flight` captures unanswered, and the reader reads no further message
while it works on one, so HTTP/2 flow control holds the rest back at the device.

What becomes of a capture is `captures.py`'s affair. What breaks the conversation (no `open`, a message out of turn) ends it with
a gRPC status.
"""

import asyncio
from typing import Any, Protocol

import structlog
from google.protobuf.message import DecodeError

from isthmus import __version__
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import RemoteProtocolError, TailUnavailable
from isthmus.tail.admission.client import Client
from isthmus.tail.security.identity import current
from isthmus.tail.served import Served, of_frames
from isthmus.tail.streams.captures import TAKEN_OVER, Captures
from isthmus.tail.streams.house import House
from isthmus.tail.streams.inquiries import Inquiries
from isthmus.tail.streams.opening import opened, read_open
from isthmus.tail.streams.outbox import Outbox
from isthmus.tail.watching.text import printable

OPEN_TIMEOUT_S = 10.0
"""From the start of a stream to its `open`: several round trips of the worst link, too short to hold streams for nothing."""
DRAIN_LINGER_S = 1.0
"""How long captures are still read after `drain` was sent, and half of the grace at most: they left the device before it knew,
one round trip ago, and the worst links take that long. A well-mannered device closes as soon as it has its answers."""

_log = structlog.get_logger(__name__)


class Pipe(Protocol):
    """The part of grpc.aio's context that a stream needs."""

    async def read(self) -> Any:  # noqa: ANN401 - a message, or gRPC's end marker
        """The next message of the device."""

    async def write(self, message: wire.FromTail) -> None:
        """Send one message; returns when the transport has taken it."""


class DeviceStream:
    """Serves one device until it closes, breaks a rule, is drained or taken over.

    Args:
        house: what the server has.
        pipe: where messages come from and go to.
        client: whose stream it is.
        number: names the stream in the log.
        end_marker: what `pipe.read` gives after the last message.
    """

    def __init__(self, house: House, pipe: Pipe, *, client: Client, number: int, end_marker: object) -> None:
        self._house = house
        self._pipe = pipe
        self._end_marker = end_marker
        self._client = client
        self.number = number
        self._log = _log.bind(stream=number)
        self._outbox = Outbox(window=house.limits.captures_in_flight, client=client, clock=house.clock)
        self._inquiries = Inquiries(self._outbox.put)
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None
        self.served: Served | None = None
        """What the device opened, None before that."""
        self.ended = asyncio.Event()
        self.device_id = ""
        """As the device calls itself, once it did."""
        self.drained = False
        self.superseded = False

    async def serve(self) -> None:
        """Run the conversation to its end.

        Raises:
            IsthmusError: the conversation cannot go on; `grpc_status` and message are for the device.
        """
        offer = await self._read_open()
        self.device_id = offer.device_id
        if self.drained:
            raise TailUnavailable("this server is draining; use another one, or come back later")
        served = self.served = of_frames(self._house.catalog.find_contract(offer.contract_digest.hex(), offer.bundle))
        codec = served.model.codec(offer.modes)
        session, resumed = self._house.sessions.attach(
            self, device_id=offer.device_id, digest=served.bundle.digest, owner=current().owner, wanted=offer.session
        )
        name = session.id.hex()[:8]
        self._log = self._log.bind(device=printable(offer.device_id), caller=str(current()), session=name)
        figures = self._house.metrics.of(served).open_stream(
            number=self.number, device_id=offer.device_id, session=name, resumed=resumed, opened_at=self._house.clock()
        )
        captures = Captures(
            self._house,
            served=served,
            codec=codec,
            session=session,
            stream=self,
            number=self.number,
            client=self._client,
            outbox=self._outbox,
            figures=figures,
            log=self._log,
        )
        self._log.info("stream opened", resumed=resumed, client_version=printable(offer.client_version))
        try:
            self._outbox.put(
                opened(
                    session,
                    resumed=resumed,
                    codec=codec,
                    model=served.model,
                    limits=self._house.limits,
                    allowed=self._outbox.begin(),
                    server_version=__version__,
                )
            )
            await self._converse(captures)
        finally:
            figures.close()
            self._house.sessions.detach(session, self)
            self._log.info("stream ended", captures=captures.received, drained=self.drained)

    def drain(self, reason: str, grace_s: float) -> None:
        """Ask the device to leave; what it has sent is answered, then the stream ends."""
        self.drained = True
        self._outbox.put(wire.FromTail(drain=wire.Drain(reason=reason, grace_ms=round(grace_s * 1000))))
        asyncio.get_running_loop().call_later(min(DRAIN_LINGER_S, grace_s / 2), self._stop_reading)

    def cut(self, reason: str) -> None:
        """End the stream now, whatever is unanswered."""
        self._outbox.cancel()
        self._end(TailUnavailable(reason))

    def taken_over(self) -> None:
        """Another stream serves the session: end this one."""
        self.superseded = True
        self._outbox.cancel()
        self._end(RemoteProtocolError(TAKEN_OVER))

    async def fetch(self, sequence: int, timeout_s: float) -> wire.Evidence:
        """Ask the device for the picture of a frame; see `Inquiries.ask`."""
        return await self._inquiries.ask(sequence, timeout_s)

    async def _read_open(self) -> wire.Open:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                first = await self._read()
        except TimeoutError as error:
            raise RemoteProtocolError(f"no open came within {OPEN_TIMEOUT_S:g} s of the stream's start") from error
        if first is self._end_marker:
            raise RemoteProtocolError("the stream ended before its open")
        return read_open(first, self._house.limits)

    async def _read(self) -> Any:  # noqa: ANN401
        try:
            return await self._pipe.read()
        except DecodeError as error:
            raise RemoteProtocolError(f"the device sent bytes that are no message of isthmus.v1 ({error})") from error

    async def _converse(self, captures: Captures) -> None:
        self._reader = asyncio.create_task(self._read_all(captures))
        writer = asyncio.create_task(self._outbox.write_all(self._pipe.write))
        self._reader.add_done_callback(self._reader_ended)
        writer.add_done_callback(self._writer_ended)
        try:
            await self._over
        finally:
            self._outbox.cancel()
            self._inquiries.end()
            self._client.forget(self._outbox)
            self._reader.cancel()
            writer.cancel()
            await asyncio.gather(self._reader, writer, return_exceptions=True)

    def _end(self, error: BaseException | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _reader_ended(self, task: asyncio.Task[None]) -> None:
        self._outbox.finish()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)

    def _writer_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._end(task.exception())

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    async def _read_all(self, captures: Captures) -> None:
        while await self._take_next(captures):
            pass

    async def _take_next(self, captures: Captures) -> bool:
        """Read one message and see to it; false after the last. The message goes with it: each stream would keep megabytes."""
        message = await self._read()
        if message is self._end_marker:
            return False
        kind: str | None = message.WhichOneof("message")
        if kind == "capture":
            await captures.take(message.capture)
        elif kind == "evidence":
            self._inquiries.answered(message.evidence)
        elif kind != "close":
            raise RemoteProtocolError(f"an open stream takes capture, evidence or close, got {kind or 'an empty message'}")
        return kind != "close"
