"""The lane in which the device answers frames by itself, with a network of its own in a thread of its own.

Frames come in three ways: those that the link has no place for, those that were sent and whose deadline draws near, and those for
which whoever decides chose the device. An answer from here and one from the server race for the same frame, and the first one
counts.
"""

import threading
import time
from collections.abc import Callable
from typing import Self

import numpy as np
import structlog

from isthmus.contract.bundle import Bundle
from isthmus.devices import golden
from isthmus.errors import DeviceError
from isthmus.head.agenda import WANTED_MAX, Agenda, Task
from isthmus.head.ledger import Ledger, Origin
from isthmus.head.pending import Pending
from isthmus.head.placement import Local

_TRIALS = 2
"""Runs before the first frame: the first one lays out memory, the second one tells how long a frame takes."""
_TRIAL_SHAPE = (720, 1280, 3)
"""A camera's picture, larger than most: preparing it is part of the time."""
_log = structlog.get_logger()


class Standby:
    """Answers frames on the device; use it as a context manager. Safe to use from any thread.

    Args:
        network: what answers.
        ledger: where answers go.
        waits: whoever hands a frame over waits until there is room, for sources of which every picture counts; otherwise the
            newest frames win.
        on_error: told when a sink failed; the lane ends then.

    Attributes:
        unneeded: frames that the lane computed and the server answered meanwhile.
    """

    def __init__(
        self, network: Local, ledger: Ledger, *, waits: bool = False, on_error: Callable[[Exception], None] = lambda _error: None
    ) -> None:
        self.network = network
        self.unneeded = 0
        self.on_error = on_error
        self._ledger = ledger
        self._waits = waits
        self._agenda = Agenda()
        self._changed = threading.Condition()
        self._running: Task | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="isthmus-standby", daemon=True)

    def __enter__(self) -> Self:
        for _ in range(_TRIALS):
            started = time.monotonic()
            self.network.answer(np.zeros(_TRIAL_SHAPE, np.uint8))
            took_s = time.monotonic() - started
        self._agenda.learn(took_s)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def usual_s(self) -> float:
        """How long an answer takes as a rule."""
        return self._agenda.usual_s

    def watch(self, pending: Pending) -> None:
        """Answer a frame in time for its deadline unless it is settled by then; without a deadline nothing is done."""
        if pending.deadline_at is None:
            return
        with self._changed:
            if not self._closed:
                self._agenda.add(Task(pending=pending, reason="deadline", wanted=False))
                self._changed.notify_all()

    def take(self, pending: Pending, reason: str = "", detail: str = "") -> bool:
        """Answer a frame now.

        Args:
            pending: the frame; from here on the lane enters its fate.
            reason: why the device answers, a key of `record.DROP_REASONS`, for a frame that would have been dropped; it is
                dropped for it if the lane has no time. Empty: the device was chosen to answer it.
            detail: the same in words.

        Returns:
            False if it cannot be answered in time; the frame stays with the caller.
        """
        with self._changed:
            if self._waits:
                self._changed.wait_for(lambda: self._closed or self._agenda.wanted < WANTED_MAX)
            if self._closed or not self._agenda.is_possible(pending, time.monotonic()):
                return False
            if self._running is not None and self._running.pending is pending:
                self._running.reason, self._running.detail, self._running.wanted = reason, detail, True
                return True
            self._agenda.remove(pending)
            given_way = self._agenda.add(Task(pending=pending, reason=reason, detail=detail))
            self._changed.notify_all()
        self._drop(given_way, "newer")
        return True

    def close(self, finish_s: float = 0.0) -> None:
        """Stop; frames that are to be answered now are, for up to `finish_s`, and dropped after that."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not (self._agenda.wanted or self._running), finish_s)
            self._closed = True
            left = self._agenda.clear()
            self._changed.notify_all()
        self._drop(left, "stopped")
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._answer(task)
                with self._changed:
                    self._running = None
                    self._changed.notify_all()
        except Exception as error:
            with self._changed:
                self._closed, self._running = True, None
                self._changed.notify_all()
            self.on_error(error)

    def _next(self) -> Task | None:
        """Wait until a frame has to be begun; None: the lane is closed."""
        while True:
            with self._changed:
                if self._closed:
                    return None
                self._agenda.forget_settled()
                now = time.monotonic()
                hopeless = self._agenda.forget_hopeless(now)
                task = None if hopeless else self._agenda.take(now)
                if task is not None:
                    self._running = task
                    self._changed.notify_all()
                    return task
                if not hopeless:
                    self._changed.wait(min(max(0.0, self._agenda.next_at() - now), threading.TIMEOUT_MAX))
            self._drop(hopeless, "deadline")

    def _answer(self, task: Task) -> None:
        pending = task.pending
        stages = pending.stages_until_now()
        started = time.monotonic()
        try:
            answer = self.network.answer(pending.frame.image)
        except DeviceError as error:
            _log.warning("the device could not answer a frame by itself", sequence=pending.frame.sequence, reason=str(error))
            self._drop([task] if task.wanted else [], "newer")
            return
        if not pending.claim():
            self.unneeded += 1
        elif pending.kept is not None and pending.is_late:
            # It is too late for the device's answer, and the server's is still to come.
            pending.kept.release()
        else:
            origin = Origin(placement=self.network.name, setting=self.network.setting, fallback=task.reason)
            self._ledger.answer(pending.frame, answer.outputs, origin, stages | answer.stages_s, identity=pending.identity)
            if pending.kept is not None:
                pending.kept.release()
        with self._changed:
            self._agenda.learn(time.monotonic() - started)

    def _drop(self, tasks: list[Task], reason: str) -> None:
        """Enter frames as dropped for the reason that brought them here; those that were chosen for the lane for this one."""
        for task in tasks:
            task.pending.drop(self._ledger, task.reason or reason, task.detail)


def check_network(bundle: Bundle, placement: Local) -> None:
    """See that `local.onnx` gives the bundle's golden outputs on this machine.

    Raises:
        BundleError: it gives others.
    """
    golden.check_local(bundle, golden.read(bundle), placement.network)
