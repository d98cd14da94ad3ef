"""What goes back on one stream, and the window that bounds it.

The window opens when an answer leaves, not when it is ready: a device that does not read gets no further credit, so the outbox
never holds more than the captures in flight, as many credits, and a drain message. The credit comes with the answer, or later
and by itself where the client is too fast or the server had no room.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import Overloaded
from isthmus.tail.admission.client import Client
from isthmus.tail.job import Job
from isthmus.tail.model import Computed, Work
from isthmus.tail.streams.outgoing import Outgoing
from isthmus.tail.watching.figures import STATUSES, StreamFigures
from isthmus.tail.watching.text import printable
from isthmus.tail.watching.tracing import CaptureTrace

_UINT32_MAX = 2**32 - 1
_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Pending:
    """A capture that is not answered yet."""

    sequence: int
    placement: str
    arrived_at: float
    figures: StreamFigures
    decoded: bool = False
    decode_s: float = 0.0
    job: Job[Work, Computed] | None = None
    trace: CaptureTrace | None = None


@dataclass(slots=True, eq=False)
class _Ready:
    """An answer on its way out; the total time is filled in when it is sent."""

    message: wire.FromTail
    pending: Pending
    queue_s: float = 0.0
    compute_s: float = 0.0
    post_s: float = 0.0


class Outbox(Outgoing[_Ready | wire.FromTail]):
    """Answers and other messages of one stream, in the order in which they became ready.

    Args:
        window: captures that may be unanswered.
        client: whose stream it is; gives the credits.
        clock: seconds, monotonic; `Pending.arrived_at` is a time on it.
    """

    def __init__(self, *, window: int, client: Client, clock: Callable[[], float]) -> None:
        super().__init__(window=window, client=client)
        self._clock = clock
        self._pending: dict[int, Pending] = {}
        self._cancelled = False

    def expect(self, pending: Pending) -> None:
        """A capture came in and will be answered."""
        self._pending[pending.sequence] = pending
        self._client.in_flight += 1

    def answer_overloaded(self, pending: Pending, error: Overloaded) -> None:
        """Tell when there will be room; the credit comes then, so that a device cannot but wait."""
        self.answer(pending, wire.STATUS_OVERLOADED, str(error), retry_after_ms=error.retry_after_ms)

    def answer(self, pending: Pending, status: wire.Status, message: str = "", *, retry_after_ms: int = 0) -> None:
        """Answer a capture without outputs."""
        stream = pending.figures
        stream.failed(status, message)
        _log.debug(
            "capture not computed",
            stream=stream.number,
            device=printable(stream.device_id),
            session=stream.session,
            sequence=pending.sequence,
            status=STATUSES[status],
            reason=message,
        )
        answer = wire.Answer(
            sequence=pending.sequence, status=status, message=message, decoded=pending.decoded, retry_after_ms=retry_after_ms
        )
        self._send(_Ready(message=wire.FromTail(answer=answer), pending=pending))

    def answer_computed(self, pending: Pending, job: Job[Work, Computed], result: Computed) -> None:
        """Answer a capture with what the network gave."""
        answer = wire.Answer(sequence=pending.sequence, status=wire.STATUS_OK, outputs=result.outputs, decoded=pending.decoded)
        pending.decode_s += result.decode_s
        message = wire.FromTail(answer=answer)
        self._send(
            _Ready(message=message, pending=pending, queue_s=job.queue_s, compute_s=result.compute_s, post_s=result.post_s)
        )

    def cancel(self) -> None:
        """Forget what is not answered; work that was not begun is not done."""
        self._cancelled = True
        self._client.in_flight -= len(self._pending)
        for pending in self._pending.values():
            if pending.job is not None:
                pending.job.cancel()
        self._pending.clear()

    def _is_waiting(self) -> bool:
        return bool(self._pending)

    def _credit_message(self) -> wire.FromTail:
        return wire.FromTail(credit=wire.Credit(allowed=self.allowed))

    def _send(self, ready: _Ready) -> None:
        if self._pending.pop(ready.pending.sequence, None) is not None:
            self._client.in_flight -= 1
        # The frame and a second copy of the outputs go with it.
        ready.pending.job = None
        self.put(ready)

    def _complete(self, item: _Ready | wire.FromTail) -> wire.FromTail:
        return self._with_times(item) if isinstance(item, _Ready) else item

    def _with_times(self, ready: _Ready) -> wire.FromTail:
        """Fill in credit and times."""
        answer = ready.message.answer
        if answer.retry_after_ms:
            self._client.later(answer.retry_after_ms / 1000, self._ask)
        else:
            self._client.ask(self)
        answer.allowed = self._told = self.allowed
        total_s = self._clock() - ready.pending.arrived_at
        times = answer.times
        times.queue_us = microseconds(ready.queue_s)
        times.decode_us = microseconds(ready.pending.decode_s)
        times.compute_us = microseconds(ready.compute_s)
        times.post_us = microseconds(ready.post_s)
        times.total_us = microseconds(total_s)
        stages_s = (ready.queue_s, ready.pending.decode_s, ready.compute_s, ready.post_s, total_s)
        ready.pending.figures.answered(ready.pending.placement, answer.status, stages_s)
        if ready.pending.trace is not None:
            ready.pending.trace.answered(answer.status, stages_s)
        return ready.message

    def _ask(self) -> None:
        if not self._cancelled:
            self._client.ask(self)


def microseconds(spent_s: float) -> int:
    """A time for the wire."""
    return min(max(round(spent_s * 1e6), 0), _UINT32_MAX)
