"""Captures that are under way to the server, and what becomes of their replies. Runs in the thread that reads the answers."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from isthmus.errors import ContractMismatch, IsthmusError, TailUnavailable
from isthmus.head.ledger import Ledger, Origin
from isthmus.head.pending import Keeper, Pending
from isthmus.head.reply import Reply

_LOOK_S = 0.05
GiveUp = Callable[[Pending, str, str], None]
"""Takes a frame that the server did not answer, the reason and the same in words."""


class Flight:
    """Sees every capture to its end; safe to use from any thread.

    Args:
        ledger: where answers go.
        give_up: gets the frames that the server did not answer.
        on_error: told when a sink failed.
    """

    def __init__(self, ledger: Ledger, *, give_up: GiveUp, on_error: Callable[[Exception], None]) -> None:
        self._ledger = ledger
        self._give_up = give_up
        self._on_error = on_error
        self._under_way: dict[Future[Reply], Pending] = {}
        self._landing = 0
        self._landed = threading.Condition()

    def expect(self, future: Future[Reply], pending: Pending, origin: Origin) -> None:
        """A capture was sent; see to its reply."""
        with self._landed:
            self._under_way[future] = pending
        future.add_done_callback(lambda done: self._receive(done, origin))

    def wait(self, timeout_s: float) -> list[Pending]:
        """Wait until every frame under way is settled and its record written; give those that are not when the time is over."""
        until = time.monotonic() + timeout_s
        with self._landed:
            while (left_s := until - time.monotonic()) > 0 and self._is_awaited():
                # Nobody tells when the device has answered one.
                self._landed.wait(min(left_s, _LOOK_S))
            return [pending for pending in self._under_way.values() if not pending.settled]

    def _is_awaited(self) -> bool:
        """A frame is settled before its record is written."""
        return self._landing > 0 or not all(one.settled for one in self._under_way.values())

    def _receive(self, done: Future[Reply], origin: Origin) -> None:
        with self._landed:
            pending = self._under_way.pop(done)
            self._landing += 1
        try:
            self._enter(done, pending, origin)
        except Exception as error:
            # A future swallows what its callbacks raise.
            self._on_error(error)
        finally:
            with self._landed:
                self._landing -= 1
                self._landed.notify_all()

    def _enter(self, done: Future[Reply], pending: Pending, origin: Origin) -> None:
        try:
            reply = done.result()
        except IsthmusError as error:
            _land(pending)
            self._give_up(pending, "link" if isinstance(error, TailUnavailable) else "server", str(error))
            return
        server = {f"server {stage}": seconds for stage, seconds in reply.server_s.items()}
        stages = {**pending.stages_s, "network": reply.network_s, **server}
        if not reply.ok:
            pending.stages_s = stages
            _land(pending)
            self._give_up(pending, "deadline" if reply.status == "expired" else "server", reply.message or reply.status)
        elif pending.kept is not None:
            self._deliver(pending, pending.kept, reply, origin, stages)
        elif not pending.claim():
            self._ledger.count_late()
        else:
            try:
                self._ledger.answer(pending.frame, reply.outputs, origin, stages)
            except ContractMismatch as error:
                self._ledger.drop(pending.frame, "server", detail=str(error), stages_s=stages)

    def _deliver(self, pending: Pending, kept: Keeper, reply: Reply, origin: Origin, stages: dict[str, float]) -> None:
        """An answer that must be delivered counts however late it is, and beside the device's own."""
        frame = pending.frame
        try:
            if pending.claim():
                self._ledger.answer(frame, reply.outputs, origin, stages, identity=kept.identity, late_counts=True)
            else:
                self._ledger.count_late()
                self._ledger.deliver(kept.identity, frame.image, reply.outputs, origin, stages)
        except ContractMismatch:
            kept.land()
            kept.release()
        else:
            kept.answered()


def _land(pending: Pending) -> None:
    if pending.kept is not None:
        pending.kept.land()
