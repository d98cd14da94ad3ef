"""One `Generate` stream from a device to a server: opened once, never repaired.

Threads: gRPC's own takes steps from a queue, one of ours reads the replies into another. Silence is not taken for an answer:
after `QUIET_S` the server is asked for an echo, which a busy one gives as well, and whoever gives none is gone.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable

import grpc

import isthmus
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import IsthmusError, RemoteProtocolError, TailUnavailable, Unreachable
from isthmus.head.calling import first_reply
from isthmus.head.credentials import Credentials
from isthmus.head.statuses import SILENT, from_status
from isthmus.head.stream import CHANNEL_OPTIONS, ECHO

QUIET_S = 0.2
"""Silence after which an echo is asked for."""
ECHO_S = 0.6
"""Longest wait for one: three round trips of a bad link. With the silence before it a dead link costs less than a second."""
DOUBT_S = 0.2
"""Wait for one after which the link is doubted: what will be needed without it is made ready."""
STEP_S = 60.0
"""Longest wait for a reply of a server that lives: the largest stretch of a prompt, behind those of others."""
_CLOSE_S = 1.0


class Exchange:
    """An open stream.

    Args:
        address: `host:port` of the server.
        hello: the first message.
        credentials: TLS and token.
        connect_timeout_s: how long connecting and opening may take.
        on_doubt: called by whoever waits for a reply when an echo is late; must return at once.

    Raises:
        IsthmusError: see `first_reply`.
        ConfigError: a file of the credentials cannot be used.
    """

    def __init__(
        self,
        address: str,
        hello: wire.GenerateOpen,
        *,
        credentials: Credentials,
        connect_timeout_s: float,
        on_doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = address
        self.bytes_up = self.bytes_down = 0
        """Of messages, without what HTTP/2 and TLS add."""
        self.draining = False
        self.is_silent = False
        """Whether nothing comes back from there, not even an echo."""
        self.unanswered = 0
        """Steps without a reply."""
        self._on_doubt = on_doubt
        self._sent = 0
        self._outbox: queue.SimpleQueue[wire.Step | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[wire.Tokens | IsthmusError] = queue.SimpleQueue()
        self._credits = threading.Condition()
        self._ended: IsthmusError | None = None
        self._heard_at = time.monotonic()
        connecting = ("grpc.min_reconnect_backoff_ms", round(connect_timeout_s * 1000))
        self._channel = credentials.open_channel(address, (*CHANNEL_OPTIONS, connecting))
        try:
            calls = split_pb2_grpc.TailStub(self._channel)
            self._call = calls.Generate(iter(self._outbox.get, None), metadata=credentials.metadata())
            self._put(wire.Step(open=hello))
            self.opened = self._read_opened(first_reply(self._call, address, credentials, timeout_s=connect_timeout_s))
        except BaseException:
            self._outbox.put(None)
            self._channel.close()
            raise
        self._allowed = self.opened.allowed
        self._reader = threading.Thread(target=self._read, name=f"isthmus-read-{address}", daemon=True)
        self._reader.start()

    @property
    def has_credit(self) -> bool:
        """Whether a step may be sent now."""
        return self._sent < self._allowed

    def send(self, rows: wire.Rows) -> None:
        """Send a step; a credit must be in hand.

        Raises:
            TailUnavailable: the stream is over.
        """
        if self._ended is not None:
            raise self._ended
        self._sent += 1
        self.unanswered += 1
        self._put(wire.Step(rows=rows))

    def reply(self) -> wire.Tokens:
        """The next reply, in the order of steps.

        Raises:
            TailUnavailable: the stream is over, or the server does not live.
            IsthmusError: the server ended it for a reason.
        """
        until = time.monotonic() + STEP_S
        while time.monotonic() < until:
            try:
                found = self._replies.get(timeout=QUIET_S)
            except queue.Empty:
                self._see_that_it_lives()
                continue
            if isinstance(found, IsthmusError):
                raise found
            self.unanswered -= 1
            return found
        raise Unreachable(f"{self.address} lives and has not answered a step for {STEP_S:g} s")

    def wait_credit(self) -> None:
        """Wait until a step may be sent, where no reply is awaited.

        Raises:
            TailUnavailable: none came.
        """
        with self._credits:
            if not self._credits.wait_for(lambda: self.has_credit or self._ended, STEP_S):
                raise Unreachable(f"{self.address} has taken no step for {STEP_S:g} s")
        if self._ended is not None:
            raise self._ended

    def cancel(self, sequence: int) -> None:
        """Stop the step of this number and those behind it."""
        self._put(wire.Step(cancel=wire.Cancel(sequence=sequence)))

    def close(self, *, for_good: bool) -> None:
        """End the stream; `for_good` ends the conversation on the server too."""
        if for_good and self._ended is None:
            self._put(wire.Step(close=wire.Close()))
            self._outbox.put(None)
            self._reader.join(_CLOSE_S)
        self._outbox.put(None)
        self._call.cancel()
        self._reader.join(_CLOSE_S)
        self._channel.close()

    def _put(self, message: wire.Step) -> None:
        self.bytes_up += message.ByteSize()
        self._outbox.put(message)

    def _read_opened(self, first: wire.StepReply) -> wire.GenerateOpened:
        self.bytes_down += first.ByteSize()
        if first.WhichOneof("message") == "error":
            raise TailUnavailable(f"{self.address} refuses: {first.error.message}")
        if first.WhichOneof("message") != "opened":
            raise RemoteProtocolError(
                f"{self.address} answered the greeting with {first.WhichOneof('message')!r}, not with 'opened'"
            )
        return first.opened

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
            self._outbox.put(None)
            self._replies.put(reason)
            with self._credits:
                self._ended = reason
                self._credits.notify_all()

    def _take(self, message: wire.StepReply) -> None:
        self._heard_at = time.monotonic()
        self.bytes_down += message.ByteSize()
        kind = message.WhichOneof("message")
        if kind == "tokens":
            self._allow(message.tokens.allowed)
            self._replies.put(message.tokens)
        elif kind == "credit":
            self._allow(message.credit.allowed)
        elif kind == "drain":
            self.draining = True
        elif kind == "error":
            raise TailUnavailable(f"{self.address}: {message.error.message}")

    def _allow(self, steps: int) -> None:
        with self._credits:
            self._allowed = max(self._allowed, steps)
            self._credits.notify_all()

    def _see_that_it_lives(self) -> None:
        if time.monotonic() - self._heard_at < QUIET_S:
            return
        echo = self._channel.unary_unary(ECHO).future(b"", timeout=ECHO_S)
        try:
            self._await(echo)
        except grpc.RpcError as error:
            if error.code() in SILENT:
                self.is_silent = True
                raise Unreachable(f"nothing comes back from {self.address}") from error

    def _await(self, echo: grpc.Future) -> None:
        try:
            echo.result(DOUBT_S)
        except grpc.FutureTimeoutError:
            self._on_doubt()
            echo.result()


def greeting(
    bundle_id: str,
    digest: str,
    *,
    modes: Iterable[int],
    device_id: str,
    layout: str,
    sampling: wire.Sampling,
    positions: int,
    session: bytes = b"",
) -> wire.GenerateOpen:
    """The first message of a conversation's stream."""
    return wire.GenerateOpen(
        bundle=bundle_id,
        contract_digest=bytes.fromhex(digest),
        modes=[wire.Mode.Name(mode) for mode in modes],
        device_id=device_id,
        session=session,
        client_version=isthmus.__version__,
        sampling=sampling,
        layout=layout,
        positions_expected=positions,
    )
