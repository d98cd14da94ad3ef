"""One device of one cell: takes a picture and gives what became of it."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from isthmus.codec.payload import Mode, mode_of
from isthmus.devices import pace
from isthmus.errors import IsthmusError, TailUnavailable
from isthmus.head.link import Link
from isthmus.head.placement import Local, Outgoing, Sender
from isthmus.head.reply import Reply

ANSWER_TIMEOUT_S = 30.0
NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange:
    """What became of one picture.

    Attributes:
        done_at: when the answer was there, by `time.perf_counter`.
        outputs: arrays by name; empty where there is no answer.
        stages_s: name -> seconds.
        payload_bytes: what was sent.
        mode: of the codec; empty where no codes were sent.
        failure: why there is no answer; empty where there is one.
    """

    done_at: float
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    stages_s: dict[str, float] = field(default_factory=dict)
    payload_bytes: int = 0
    mode: str = ""
    failure: str = ""


class Runner:
    """One device of one cell during one start of the programs; used by one thread at a time.

    Args:
        placement: where pictures are answered; other devices may share it.
        link: open stream to the server; None where nothing is sent.
    """

    def __init__(self, placement: Local | Sender, link: Link | None) -> None:
        self._placement = placement
        self._link = link
        self.sent_frames = 0
        self.sent_bytes = 0

    def warm_up(self, picture: np.ndarray) -> bool:
        """Answer a picture until its times settle; whether they did."""
        return pace.warm_up(lambda: self.work(picture)).settled

    def work(self, picture: np.ndarray) -> float:
        """Answer a picture and forget the answer; seconds it took.

        Raises:
            IsthmusError: it was not answered.
            TimeoutError: not in time.
        """
        started = time.perf_counter()
        exchange = self._begin(picture).result(ANSWER_TIMEOUT_S)
        if exchange.failure:
            raise TailUnavailable(exchange.failure)
        return time.perf_counter() - started

    def answer(self, picture: np.ndarray) -> Exchange:
        """Answer a picture; failures are told, not raised."""
        if not isinstance(self._placement, Local):
            return settled(self.begin(picture))
        # Without the promise, which costs some microseconds: a small network answers in hundreds.
        try:
            return _computed(self._placement, picture)
        except IsthmusError as error:
            return Exchange(done_at=time.perf_counter(), failure=type(error).__name__)

    def begin(self, picture: np.ndarray) -> Future[Exchange]:
        """Do the device's part, once a credit is there, and send; the rest happens meanwhile."""
        try:
            return self._begin(picture)
        except (IsthmusError, TimeoutError) as error:
            failed: Future[Exchange] = Future()
            failed.set_exception(error)
            return failed

    def _begin(self, picture: np.ndarray) -> Future[Exchange]:
        promise: Future[Exchange] = Future()
        if isinstance(self._placement, Local):
            promise.set_result(_computed(self._placement, picture))
            return promise
        assert self._link is not None
        if not self._link.wait_credit(ANSWER_TIMEOUT_S):
            raise TimeoutError
        outgoing = self._placement.pack(picture, self._link.dialogue)
        outgoing.capture.sequence = self.sent_frames
        self.sent_frames += 1
        self.sent_bytes += outgoing.payload_bytes
        reply = self._link.send(outgoing.capture, outgoing.codes)
        reply.add_done_callback(lambda found: _read(found, outgoing, promise))
        return promise


def _computed(placement: Local, picture: np.ndarray) -> Exchange:
    answer = placement.answer(picture)
    return Exchange(done_at=time.perf_counter(), outputs=answer.outputs, stages_s=answer.stages_s)


def settled(promise: Future[Exchange]) -> Exchange:
    """Wait for an answer; failures are told, not raised."""
    try:
        return promise.result(ANSWER_TIMEOUT_S)
    except TimeoutError:
        failure = NO_ANSWER
    except IsthmusError as error:
        failure = type(error).__name__
    return Exchange(done_at=time.perf_counter(), failure=failure)


def _read(found: Future[Reply], outgoing: Outgoing, promise: Future[Exchange]) -> None:
    """Called by the thread that reads answers: take the time first."""
    done_at = time.perf_counter()
    error = found.exception()
    if error is not None:
        promise.set_exception(error)
        return
    reply = found.result()
    stages = outgoing.stages_s | {"network": reply.network_s}
    stages |= {f"server {stage}": spent for stage, spent in reply.server_s.items()}
    codes = outgoing.capture.codes
    promise.set_result(
        Exchange(
            done_at=done_at,
            outputs=reply.outputs,
            stages_s=stages,
            payload_bytes=outgoing.payload_bytes,
            mode=Mode(mode_of(codes)).name.lower() if codes else "",
            failure="" if reply.ok else f"the server answered {reply.status}",
        )
    )
