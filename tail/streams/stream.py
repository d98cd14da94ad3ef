"""One device stream: captures in, answers out in the order in which they are done.

Three tasks: the handler waits for the end, a reader takes one message at a time, a writer sends what is ready. Nothing here
grows with what the device does: it may have `captures_in_flight` captures unanswered, and the reader reads no further message
while it works on one, so HTTP/2 flow control holds the rest back at the device.

What becomes of a capture is `captures.py`'s affair. What breaks the conversation (no `open`, a message out of turn) ends it with
a gRPC status.
"""

import asyncio

import structlog

from isthmus import __version__
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import RemoteProtocolError, TailUnavailable
from isthmus.tail.admission.client import Client
from isthmus.tail.security.identity import current
from isthmus.tail.served import Served, of_frames
from isthmus.tail.streams.captures import TAKEN_OVER, Captures
from isthmus.tail.streams.dialogue import Dialogue, Pipe
from isthmus.tail.streams.house import House
from isthmus.tail.streams.inquiries import Inquiries
from isthmus.tail.streams.opening import opened, read_open
from isthmus.tail.streams.outbox import Outbox
from isthmus.tail.watching.text import printable

_log = structlog.get_logger(__name__)


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
        self._dialogue = Dialogue(pipe, end_marker)
        self._client = client
        self.number = number
        self._log = _log.bind(stream=number)
        self._outbox = Outbox(window=house.limits.captures_in_flight, client=client, clock=house.clock)
        self._inquiries = Inquiries(self._outbox.put)
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
        offer = read_open(await self._dialogue.first(), self._house.limits)
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
        self._dialogue.stop_reading(grace_s)

    def cut(self, reason: str) -> None:
        """End the stream now, whatever is unanswered."""
        self._outbox.cancel()
        self._dialogue.end(TailUnavailable(reason))

    def taken_over(self) -> None:
        """Another stream serves the session: end this one."""
        self.superseded = True
        self._outbox.cancel()
        self._dialogue.end(RemoteProtocolError(TAKEN_OVER))

    async def fetch(self, sequence: int, timeout_s: float) -> wire.Evidence:
        """Ask the device for the picture of a frame; see `Inquiries.ask`."""
        return await self._inquiries.ask(sequence, timeout_s)

    async def _converse(self, captures: Captures) -> None:
        try:
            await self._dialogue.hold(
                lambda: self._take_next(captures),
                self._outbox.write_all(self._dialogue.write),
                read_over=self._outbox.finish,
            )
        finally:
            self._outbox.cancel()
            self._inquiries.end()
            self._client.forget(self._outbox)

    async def _take_next(self, captures: Captures) -> bool:
        """Read one message and see to it; false after the last. The message goes with it: each stream would keep megabytes."""
        message = await self._dialogue.read()
        if message is None:
            return False
        kind: str | None = message.WhichOneof("message")
        if kind == "capture":
            await captures.take(message.capture)
        elif kind == "evidence":
            self._inquiries.answered(message.evidence)
        elif kind != "close":
            raise RemoteProtocolError(f"an open stream takes capture, evidence or close, got {kind or 'an empty message'}")
        return kind != "close"
