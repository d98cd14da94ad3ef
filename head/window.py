"""The captures of one stream that are under way: credits, order, and who waits for which answer."""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.overload import RETRY_AFTER_MAX_MS
from isthmus.errors import IsthmusError, LocalProtocolError, ProtocolError, TailUnavailable
from isthmus.head import reply
from isthmus.head.reply import Reply


@dataclass(frozen=True, slots=True)
class _Waiting:
    future: Future[Reply]
    sent_at: float


class Window:
    """What may be sent and what was; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight: dict[int, _Waiting] = {}
        self._sent = 0
        self._allowed = 0
        self._paused_until = 0.0
        self._ended: IsthmusError | None = None
        self._last_sequence = -1

    @property
    def credits(self) -> int:
        """Captures that may be sent now."""
        with self._lock:
            return 0 if self._ended or self.pause_s else max(0, self._allowed - self._sent)

    @property
    def pause_s(self) -> float:
        """How long the server, which had no room for a capture, asked to wait; 0.0 without reason to wait."""
        return max(0.0, self._paused_until - time.monotonic())

    @property
    def ended(self) -> IsthmusError | None:
        """Why nothing goes any more, or None."""
        return self._ended

    @property
    def in_flight(self) -> int:
        """Captures without an answer."""
        return len(self._in_flight)

    def allow(self, captures: int) -> None:
        """So many may be sent in all; it never falls."""
        with self._lock:
            self._allowed = max(self._allowed, captures)

    def send(self, sequence: int) -> Future[Reply]:
        """Use a credit for a capture.

        Returns:
            What will hold the reply.

        Raises:
            LocalProtocolError: no credit, or the sequence number does not grow.
            TailUnavailable: the stream is over.
        """
        future: Future[Reply] = Future()
        with self._lock:
            if self._ended:
                raise TailUnavailable(f"the stream is over: {self._ended}") from self._ended
            if self._sent >= self._allowed:
                raise LocalProtocolError(f"capture {sequence} was sent without a credit ({self._sent} of {self._allowed} used)")
            if sequence <= self._last_sequence:
                raise LocalProtocolError(f"sequence {sequence} does not follow {self._last_sequence}")
            self._last_sequence = sequence
            self._sent += 1
            self._in_flight[sequence] = _Waiting(future, time.perf_counter())
        return future

    def answer(self, answer: wire.Answer) -> bool:
        """Hand an answer to whoever waits for it; False if nobody does."""
        arrived = time.perf_counter()
        with self._lock:
            self._allowed = max(self._allowed, answer.allowed)
            if answer.status == wire.STATUS_OVERLOADED:
                pause_s = min(answer.retry_after_ms, RETRY_AFTER_MAX_MS) / 1000
                self._paused_until = max(self._paused_until, time.monotonic() + pause_s)
            waiting = self._in_flight.pop(answer.sequence, None)
        if waiting is None:
            return False
        try:
            waiting.future.set_result(reply.read(answer, arrived - waiting.sent_at))
        except ProtocolError as error:
            waiting.future.set_exception(error)
        return True

    def end(self, reason: IsthmusError) -> None:
        """Fail what is in flight, and let nothing go any more."""
        with self._lock:
            self._ended = reason
            stranded = [waiting.future for waiting in self._in_flight.values()]
            self._in_flight.clear()
        for future in stranded:
            future.set_exception(reason if isinstance(reason, TailUnavailable) else TailUnavailable(str(reason)))
