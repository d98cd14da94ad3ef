"""One gRPC stream from a device to a tail: opened once, never repaired; the link makes another when it breaks.

Threads: gRPC's own thread takes requests from a queue, one thread of ours reads the answers. Between them stands the window. A
capture in flight is a future that the reading thread fulfils, or fails when the stream ends.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import grpc

import isthmus
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.contract.limits import DEFAULT
from isthmus.errors import IsthmusError, RemoteProtocolError, TailUnavailable, Unreachable
from isthmus.head.calling import first_reply
from isthmus.head.credentials import Credentials
from isthmus.head.evidence import no_evidence
from isthmus.head.hearing import USUAL, Hearing, Patience
from isthmus.head.references import Codes, References
from isthmus.head.reply import Reply
from isthmus.head.statuses import SILENT, from_status
from isthmus.head.window import Window

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", DEFAULT.message_bytes),
    ("grpc.max_send_message_length", DEFAULT.message_bytes),
    # Without a pool of its own a new channel would share the dead connection of the old one.
    ("grpc.use_local_subchannel_pool", 1),
    # A dead link is noticed after 1 s + 4 s at the latest; a time-out below 3 s calls a link with 5% loss dead.
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 4000),
    # The answer to a ping is waited for by this setting, 60 s unless told; with the one above alone a dead link lives on.
    ("grpc.http2.ping_timeout_ms", 4000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
)
ECHO = "/grpc.health.v1.Health/Check"
"""What every server answers at once and to everybody, if only by saying that it has no such method."""
_ECHO_S = 3.0


class Stream:
    """An open stream.

    Args:
        address: `host:port` of the tail.
        hello: the first message.
        credentials: TLS and token; default a plain connection without a token.
        connect_timeout_s: how long connecting and opening may take.
        on_change: called without arguments when a credit arrived, the server drains, or the stream ended.
        given_up: asked while the connection is made; true ends the attempt.
        references: learns which frames the server has decoded.
        evidence: gives what this device keeps of a frame, by sequence number.
        patience: how long silence is borne.

    Raises:
        Unreachable: nobody answers there, or the attempt was given up.
        TailUnavailable: the server has no room.
        AccessError: TLS or the token opens no door there.
        ConfigError: a file of the credentials cannot be used.
        ContractMismatch: the server holds another bundle.
        RemoteProtocolError: whoever answers does not speak this protocol.
    """

    def __init__(
        self,
        address: str,
        hello: wire.Open,
        *,
        credentials: Credentials | None = None,
        connect_timeout_s: float,
        on_change: Callable[[], None],
        given_up: Callable[[], bool] = lambda: False,
        references: References | None = None,
        evidence: Callable[[int], wire.Evidence] = no_evidence,
        patience: Patience = USUAL,
    ) -> None:
        self.address = address
        self._on_change = on_change
        self._evidence = evidence
        self._window = Window()
        self._sending = threading.Lock()
        self._cut_for: IsthmusError | None = None
        self.draining = False
        self.is_mute = False
        """Whether the server lives and does not answer captures."""
        self._references = references or References()
        self._outbox: queue.SimpleQueue[wire.ToTail | None] = queue.SimpleQueue()
        # gRPC gives up a connection attempt after this "backoff"; a slow radio needs several round trips.
        connecting = ("grpc.min_reconnect_backoff_ms", round(connect_timeout_s * 1000))
        self._credentials = credentials or Credentials()
        metadata = self._credentials.metadata()
        self._channel = self._credentials.open_channel(address, (*CHANNEL_OPTIONS, connecting))
        try:
            self._call = split_pb2_grpc.TailStub(self._channel).Stream(iter(self._outbox.get, None), metadata=metadata)
            self.opened = self._open(hello, connect_timeout_s, given_up)
        except BaseException:
            self._outbox.put(None)
            self._channel.close()
            raise
        self._window.allow(self.opened.allowed)
        self._hearing = Hearing(patience, time.monotonic())
        self._reader = threading.Thread(target=self._read, name=f"isthmus-read-{address}", daemon=True)
        self._reader.start()

    def _open(self, hello: wire.Open, timeout_s: float, given_up: Callable[[], bool]) -> wire.Opened:
        self._outbox.put(wire.ToTail(open=hello))
        first: wire.FromTail = first_reply(self._call, self.address, self._credentials, timeout_s=timeout_s, given_up=given_up)
        if first.WhichOneof("message") == "error":
            raise TailUnavailable(f"{self.address} refuses: {first.error.message}")
        if first.WhichOneof("message") != "opened":
            raise RemoteProtocolError(
                f"{self.address} answered the greeting with {first.WhichOneof('message')!r}, not with 'opened'"
            )
        return first.opened

    @property
    def credits(self) -> int:
        """Captures that may be sent now."""
        return 0 if self.draining or self.suspect else self._window.credits

    @property
    def pause_s(self) -> float:
        """How long the server, which had no room for a capture, asked to wait; 0.0 without reason to wait."""
        return self._window.pause_s

    @property
    def ended(self) -> IsthmusError | None:
        """Why the stream is over, or None while it lives."""
        return self._window.ended

    @property
    def in_flight(self) -> int:
        """Captures without an answer."""
        return self._window.in_flight

    @property
    def suspect(self) -> bool:
        """Whether nothing has been heard for so long that the connection may be dead."""
        return self._hearing.silent_s(time.monotonic()) > 0

    def send(self, capture: wire.Capture, codes: Codes = ()) -> Future[Reply]:
        """Send one capture; a credit must be in hand.

        Args:
            capture: with a sequence number that grows.
            codes: what the server will hold once it has decoded the capture, if later frames may build on it.

        Raises:
            LocalProtocolError: no credit, or the sequence number does not grow.
            TailUnavailable: the stream is over.
        """
        with self._sending:
            future = self._window.send(capture.sequence)
            if codes:
                self._references.sent(capture.sequence, codes)
            self._hearing.sent(capture.sequence, capture.ByteSize(), time.monotonic())
            self._outbox.put(wire.ToTail(capture=capture))
        return future

    def listen(self) -> None:
        """Ask for an echo if it has been quiet for long, and give up a server that echoes and does not answer."""
        now = time.monotonic()
        if waited_s := self._hearing.unanswered_s(now):
            self.is_mute = True
            self.abort(Unreachable(f"{self.address} lives and has not answered a capture for {waited_s:.0f} s"))
        elif not self.ended and self._hearing.wants_echo(now):
            # Bytes in, bytes out: an empty request asks for the server as a whole, and any answer will do.
            echo = self._channel.unary_unary(ECHO).future(b"", timeout=_ECHO_S)
            echo.add_done_callback(lambda done: self._echoed(done, now))

    def _echoed(self, done: grpc.Future, asked_at: float) -> None:
        if done.code() not in SILENT:
            now = time.monotonic()
            self._hearing.echoed(now - asked_at, now)
            self._on_change()

    def close(self, timeout_s: float = 1.0) -> None:
        """Say goodbye, and wait up to `timeout_s` for what is in flight."""
        self._outbox.put(wire.ToTail(close=wire.Close()))
        self._outbox.put(None)
        self._reader.join(timeout_s)
        self._call.cancel()
        self._reader.join(1.0)
        self._channel.close()

    def abort(self, reason: IsthmusError | None = None) -> None:
        """Cut the stream at once, for a reason."""
        self._cut_for = reason
        self._call.cancel()

    def _read(self) -> None:
        reason: IsthmusError = TailUnavailable(f"{self.address} ended the stream")
        try:
            for message in self._call:
                self._take(message)
        except grpc.RpcError as error:
            reason = self._cut_for or from_status(self.address, error)
        except IsthmusError as error:
            reason = error
        finally:
            # Whatever happened, nobody may wait for a stream that nobody reads.
            self._call.cancel()
            self._end(reason)

    def _end(self, reason: IsthmusError) -> None:
        self._outbox.put(None)
        self._window.end(reason)
        self._on_change()

    def _take(self, message: wire.FromTail) -> None:
        kind = message.WhichOneof("message")
        self._hearing.heard(time.monotonic())
        if kind == "answer":
            self._take_answer(message.answer)
        elif kind == "credit":
            self._window.allow(message.credit.allowed)
            self._on_change()
        elif kind == "drain":
            self.draining = True
            self._on_change()
        elif kind == "error":
            raise TailUnavailable(f"{self.address}: {message.error.message}")
        elif kind == "fetch_evidence":
            held = self._evidence(message.fetch_evidence.sequence)
            held.request = message.fetch_evidence.request
            self._outbox.put(wire.ToTail(evidence=held))

    def _take_answer(self, answer: wire.Answer) -> None:
        self._hearing.answered(answer.sequence, time.monotonic())
        # Before whoever waits for the answer encodes the next frame.
        self._references.answered(answer.sequence, decoded=answer.decoded)
        if not self._window.answer(answer):
            raise RemoteProtocolError(f"{self.address} answered capture {answer.sequence}, which is not in flight")
        self._on_change()


def greeting(bundle_id: str, digest: str, modes: Iterable[int], device_id: str, session: bytes = b"") -> wire.Open:
    """The first message of a stream."""
    return wire.Open(
        bundle=bundle_id,
        contract_digest=bytes.fromhex(digest),
        modes=[wire.Mode.Name(mode) for mode in modes],
        device_id=device_id,
        session=session,
        client_version=isthmus.__version__,
    )
