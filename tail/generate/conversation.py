"""One conversation on one stream: steps in, replies out in their order.

Four tasks: the handler waits for the end, a reader takes messages, a worker has one step after the other computed, a writer sends
what is ready. A device may have `steps_in_flight` steps unanswered; the rest waits at the device. When the stream breaks, the
step in progress is finished, for the device will ask for it again, and those behind it are forgotten.
"""

import asyncio
from collections import deque

import structlog

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import LimitExceeded, RemoteProtocolError, TailUnavailable
from isthmus.tail.admission.client import Client
from isthmus.tail.generate.opening import choose_layout, opened, read_open
from isthmus.tail.generate.replies import Replies
from isthmus.tail.generate.served import ServedLanguage, language
from isthmus.tail.generate.sessions import LanguageSessions, Session
from isthmus.tail.generate.steps import Steps
from isthmus.tail.security.identity import current
from isthmus.tail.streams.dialogue import Dialogue, Pipe
from isthmus.tail.streams.house import House
from isthmus.tail.watching.text import printable

TAKEN_OVER = "another stream of this device took the conversation over"
_log = structlog.get_logger(__name__)


class Conversation:
    """Serves one device until it closes, breaks a rule, is drained or taken over.

    Args:
        house: what the server has.
        sessions: of language models.
        pipe: where messages come from and go to.
        client: whose conversation it is.
        number: names the stream in the log.
        end_marker: what `pipe.read` gives after the last message.
    """

    def __init__(
        self, house: House, sessions: LanguageSessions, pipe: Pipe, *, client: Client, number: int, end_marker: object
    ) -> None:
        self._house = house
        self._sessions = sessions
        self._dialogue = Dialogue(pipe, end_marker)
        self._client = client
        self.number = number
        self._log = _log.bind(stream=number)
        self._replies = Replies(window=house.limits.steps_in_flight, client=client)
        self._waiting: deque[tuple[wire.Rows, float]] = deque()
        self._came = asyncio.Event()
        self._received = 0
        self._last = 0
        """Sequence number of the step that came last."""
        self._reading_over = False
        self._closed = False
        self.served: ServedLanguage | None = None
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
        served = self.served = language(self._house.catalog.find_contract(offer.contract_digest.hex(), offer.bundle))
        layout = choose_layout(served.model, offer.layout)
        belongs = (self._client.name, current().owner, offer.device_id, served.bundle.digest, layout)
        sampling = served.model.defaults.told(offer.sampling)
        session, resumed = self._sessions.attach(self, belongs=belongs, sampling=sampling, wanted=offer.session)
        try:
            await self._serve(served, offer, layout, session, resumed)
        finally:
            self._sessions.detach(session, self, forget=self._closed)

    async def _serve(
        self, served: ServedLanguage, offer: wire.GenerateOpen, layout: str, session: Session, resumed: bool
    ) -> None:
        codec = served.model.codec(offer.modes)
        name = session.id.hex()[:8]
        self._log = self._log.bind(device=printable(offer.device_id), caller=str(current()), session=name)
        steps = Steps(
            served=served,
            sessions=self._sessions,
            session=session,
            layout=layout,
            codec=codec,
            client=self._client,
            limits=self._house.limits,
            incidents=self._house.metrics.incidents,
            log=self._log,
            clock=self._house.clock,
        )
        async with session.turn:
            steps.make_room(offer.positions_expected)
        served.figures.opened(resumed=resumed)
        self._log.info("conversation opened", resumed=resumed, layout=layout, client_version=printable(offer.client_version))
        try:
            self._replies.put(
                opened(
                    session,
                    resumed=resumed,
                    codec=codec,
                    model=served.model,
                    limits=self._house.limits,
                    allowed=self._replies.begin(),
                    lease_s=self._sessions.lease_s,
                )
            )
            await self._converse(steps)
        finally:
            served.figures.closed()
            self._log.info("conversation ended", steps=self._received, positions=session.positions, drained=self.drained)

    def drain(self, reason: str, grace_s: float) -> None:
        """Ask the device to leave; what it has sent is answered, then the stream ends."""
        self.drained = True
        self._replies.put(wire.StepReply(drain=wire.Drain(reason=reason, grace_ms=round(grace_s * 1000))))
        self._dialogue.stop_reading(grace_s)

    def cut(self, reason: str) -> None:
        """End the stream now, whatever is unanswered."""
        self._dialogue.end(TailUnavailable(reason))

    def taken_over(self) -> None:
        """Another stream serves the session: end this one."""
        self.superseded = True
        self._dialogue.end(RemoteProtocolError(TAKEN_OVER))

    async def _converse(self, steps: Steps) -> None:
        try:
            await self._dialogue.hold(
                lambda: self._take_next(steps),
                self._replies.write_all(self._dialogue.write),
                work=self._work(steps),
                read_over=self._read_over,
            )
        finally:
            self._client.forget(self._replies)

    def _read_over(self) -> None:
        self._reading_over = True
        self._came.set()

    async def _work(self, steps: Steps) -> None:
        """Have every step computed in its turn. A step that was begun is finished whatever happens to the stream."""
        while True:
            while self._waiting:
                rows, arrived_at = self._waiting.popleft()
                reply = await asyncio.shield(steps.take(rows, arrived_at))
                message = wire.StepReply()
                message.tokens.CopyFrom(reply)
                self._replies.put(message)
            if self._reading_over:
                self._replies.finish()
                return
            self._came.clear()
            await self._came.wait()

    async def _take_next(self, steps: Steps) -> bool:
        """Read one message and see to it; false after the last."""
        message = await self._dialogue.read()
        if message is None:
            return False
        kind: str | None = message.WhichOneof("message")
        if kind == "rows":
            self._take_rows(message.rows)
        elif kind == "cancel":
            steps.cancel(message.cancel.sequence, self._last)
        elif kind == "close":
            self._closed = True
        else:
            raise RemoteProtocolError(f"an open conversation takes rows, cancel or close, got {kind or 'an empty message'}")
        return kind != "close"

    def _take_rows(self, rows: wire.Rows) -> None:
        self._received += 1
        if self._received > self._replies.allowed:
            raise LimitExceeded(
                f"step {self._received} of this stream came while {self._replies.allowed} were allowed; wait for replies"
            )
        self._last = rows.sequence
        self._waiting.append((rows, self._house.clock()))
        self._came.set()
