"""One gRPC stream from a device to a tail: opened once, never repaired; the link makes another when it breaks.

Threads: gRPC's own thread takes requests from a queue, one thread of ours reads the answers. Everything between them is under
one lock. A capture in flight is a future that the reading thread fulfils, or fails when the stream ends.
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
from isthmus.contract.overload import RETRY_AFTER_MAX_MS, retry_after_ms
from isthmus.errors import (
    ContractMismatch,
    IsthmusError,
    LocalProtocolError,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    RemoteProtocolError,
    TailUnavailable,
    Unauthenticated,
)
from isthmus.head import handshake, reply
from isthmus.head.credentials import Credentials
from isthmus.head.evidence import no_evidence
from isthmus.head.references import Codes, References
from isthmus.head.reply import Reply

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
_CONTRACT_STATUS = {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND}
_TRANSIENT_STATUS = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.ABORTED,
}
_LOOK_S = 0.1
"""How often an attempt to connect looks whether it was given up."""


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

    Raises:
        TailUnavailable: nobody answers there, the server has no room, or the attempt was given up.
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
    ) -> None:
        self.address = address
        self._on_change = on_change
        self._evidence = evidence
        self._lock = threading.Lock()
        self._in_flight: dict[int, tuple[Future[Reply], float]] = {}
        self._sent = 0
        self._allowed = 0
        self._paused_until = 0.0
        self._ended: IsthmusError | None = None
        self._last_sequence = -1
        self.draining = False
        self._references = references or References()
        self._outbox: queue.SimpleQueue[wire.ToTail | None] = queue.SimpleQueue()
        # gRPC gives up a connection attempt after this "backoff"; a slow radio needs several round trips.
        patience = ("grpc.min_reconnect_backoff_ms", round(connect_timeout_s * 1000))
        self._credentials = credentials or Credentials()
        metadata = self._credentials.metadata()
        self._channel = self._credentials.open_channel(address, (*CHANNEL_OPTIONS, patience))
        try:
            self._call = split_pb2_grpc.TailStub(self._channel).Stream(iter(self._outbox.get, None), metadata=metadata)
            self.opened = self._open(hello, connect_timeout_s, given_up)
        except BaseException:
            self._outbox.put(None)
            self._channel.close()
            raise
        self._allowed = self.opened.allowed
        self._reader = threading.Thread(target=self._read, name=f"isthmus-read-{address}", daemon=True)
        self._reader.start()

    def _open(self, hello: wire.Open, timeout_s: float, given_up: Callable[[], bool]) -> wire.Opened:
        """Greet; gRPC connects meanwhile, and a refused connection ends the call at once."""
        self._outbox.put(wire.ToTail(open=hello))
        settled = threading.Event()
        watch = threading.Thread(target=self._cancel_late, args=(timeout_s, given_up, settled), daemon=True)
        watch.start()
        try:
            first: wire.FromTail = next(self._call)
        except StopIteration as error:
            raise RemoteProtocolError(f"{self.address} closed the stream before it answered the greeting") from error
        except grpc.RpcError as error:
            raise self._not_opened(error, timeout_s) from error
        finally:
            settled.set()
            watch.join()
        if first.WhichOneof("message") == "error":
            raise TailUnavailable(f"{self.address} refuses: {first.error.message}")
        if first.WhichOneof("message") != "opened":
            raise RemoteProtocolError(
                f"{self.address} answered the greeting with {first.WhichOneof('message')!r}, not with 'opened'"
            )
        return first.opened

    def _cancel_late(self, timeout_s: float, given_up: Callable[[], bool], settled: threading.Event) -> None:
        late_at = time.monotonic() + timeout_s
        while not settled.wait(_LOOK_S):
            if given_up() or time.monotonic() >= late_at:
                self._call.cancel()
                return

    def _not_opened(self, error: grpc.RpcError, timeout_s: float) -> IsthmusError:
        if error.code() is grpc.StatusCode.CANCELLED:
            return TailUnavailable(f"no server answers at {self.address} within {timeout_s:g} s; is `isthmus serve` running?")
        if error.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in (error.details() or ""):
            known = handshake.explain(self.address, self._credentials, error.details() or "")
            return known or TailUnavailable(f"nobody listens at {self.address}; is `isthmus serve` running there?")
        return from_status(self.address, error)

    @property
    def credits(self) -> int:
        """Captures that may be sent now."""
        with self._lock:
            held = self._ended or self.draining or self.pause_s
            return 0 if held else max(0, self._allowed - self._sent)

    @property
    def pause_s(self) -> float:
        """How long the server, which had no room for a capture, asked to wait; 0.0 without reason to wait."""
        return max(0.0, self._paused_until - time.monotonic())

    @property
    def ended(self) -> IsthmusError | None:
        """Why the stream is over, or None while it lives."""
        return self._ended

    @property
    def in_flight(self) -> int:
        """Captures without an answer."""
        return len(self._in_flight)

    def send(self, capture: wire.Capture, codes: Codes = ()) -> Future[Reply]:
        """Send one capture; a credit must be in hand.

        Args:
            capture: with a sequence number that grows.
            codes: what the server will hold once it has decoded the capture, if later frames may build on it.

        Raises:
            LocalProtocolError: no credit, or the sequence number does not grow.
            TailUnavailable: the stream is over.
        """
        future: Future[Reply] = Future()
        with self._lock:
            if self._ended:
                raise TailUnavailable(f"the stream is over: {self._ended}") from self._ended
            if self._sent >= self._allowed:
                raise LocalProtocolError(
                    f"capture {capture.sequence} was sent without a credit ({self._sent} of {self._allowed} used)"
                )
            if capture.sequence <= self._last_sequence:
                raise LocalProtocolError(f"sequence {capture.sequence} does not follow {self._last_sequence}")
            self._last_sequence = capture.sequence
            self._sent += 1
            if codes:
                self._references.sent(capture.sequence, codes)
            self._in_flight[capture.sequence] = (future, time.perf_counter())
            self._outbox.put(wire.ToTail(capture=capture))
        return future

    def close(self, timeout_s: float = 1.0) -> None:
        """Say goodbye, and wait up to `timeout_s` for what is in flight."""
        self._outbox.put(wire.ToTail(close=wire.Close()))
        self._outbox.put(None)
        self._reader.join(timeout_s)
        self._call.cancel()
        self._reader.join(1.0)
        self._channel.close()

    def abort(self) -> None:
        """Cut the stream at once."""
        self._call.cancel()

    def _read(self) -> None:
        reason: IsthmusError = TailUnavailable(f"{self.address} ended the stream")
        try:
            for message in self._call:
                self._take(message)
        except grpc.RpcError as error:
            reason = from_status(self.address, error)
        except IsthmusError as error:
            reason = error
        finally:
            # Whatever happened, nobody may wait for a stream that nobody reads.
            self._call.cancel()
            self._end(reason)

    def _end(self, reason: IsthmusError) -> None:
        with self._lock:
            self._ended = reason
            stranded = [future for future, _ in self._in_flight.values()]
            self._in_flight.clear()
        self._outbox.put(None)
        for future in stranded:
            future.set_exception(reason if isinstance(reason, TailUnavailable) else TailUnavailable(str(reason)))
        self._on_change()

    def _take(self, message: wire.FromTail) -> None:
        kind = message.WhichOneof("message")
        if kind == "answer":
            self._take_answer(message.answer)
        elif kind == "credit":
            with self._lock:
                self._allowed = max(self._allowed, message.credit.allowed)
            self._on_change()
        elif kind == "drain":
            with self._lock:
                self.draining = True
            self._on_change()
        elif kind == "error":
            raise TailUnavailable(f"{self.address}: {message.error.message}")
        elif kind == "fetch_evidence":
            held = self._evidence(message.fetch_evidence.sequence)
            held.request = message.fetch_evidence.request
            self._outbox.put(wire.ToTail(evidence=held))

    def _take_answer(self, answer: wire.Answer) -> None:
        arrived = time.perf_counter()
        with self._lock:
            self._allowed = max(self._allowed, answer.allowed)
            if answer.status == wire.STATUS_OVERLOADED:
                pause_s = min(answer.retry_after_ms, RETRY_AFTER_MAX_MS) / 1000
                self._paused_until = max(self._paused_until, time.monotonic() + pause_s)
            entry = self._in_flight.pop(answer.sequence, None)
        self._references.answered(answer.sequence, decoded=answer.decoded)
        if entry is None:
            raise RemoteProtocolError(f"{self.address} answered capture {answer.sequence}, which is not in flight")
        future, sent_at = entry
        try:
            future.set_result(reply.read(answer, arrived - sent_at))
        except ProtocolError as error:
            future.set_exception(error)
        self._on_change()


def from_status(address: str, error: grpc.RpcError) -> IsthmusError:
    """The exception of ours that a gRPC status stands for."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return Unauthenticated(f"{address} refuses: {details}")
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDenied(f"{address} refuses: {details}")
    if code in _CONTRACT_STATUS:
        return ContractMismatch(f"{address} refuses: {details}")
    if hint_ms := retry_after_ms(error.trailing_metadata()):
        return Overloaded(f"{address}: {details}", retry_after_ms=hint_ms)
    if code in _TRANSIENT_STATUS:
        return TailUnavailable(f"{address}: {code.name} {details}".rstrip())
    return RemoteProtocolError(f"{address}: {code.name} {details}".rstrip())


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
