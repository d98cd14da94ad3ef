"""The controller at work in the agent: has it choose a way for every frame, and tells it what came of that.

The controller's clock is `time.monotonic`, as that of the frames. Safe to use from any thread: frames are decided in one, answers
come in another.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import structlog

from isthmus.errors import ConfigError, IsthmusError
from isthmus.head.control.choice import Choice
from isthmus.head.control.controller import Controller, ControlSettings
from isthmus.head.control.worth import WorthSettings
from isthmus.head.link import Link
from isthmus.head.pending import Pending
from isthmus.head.placement import Outgoing, Sender
from isthmus.head.reply import Reply
from isthmus.head.standby import Standby
from isthmus.head.thrift import Thrift

_log = structlog.get_logger()
Key = tuple[str, str]
"""Name and setting of a placement."""


@dataclass(frozen=True, slots=True)
class Course:
    """What to do with one frame."""

    sender: Sender | None
    """How it is sent; None: the device answers it."""
    probe: Sender | None = None
    """What is sent besides, for news of the link."""


class Pilot:
    """Chooses among senders and the device itself.

    Args:
        choices: one for each sender, and one for the device where `standby` is given.
        senders: what can be sent.
        link: over which.
        standby: where the device answers by itself; None: it cannot.
        deadline_s: from capture to answer.

    Raises:
        ConfigError: choices and senders do not fit.
    """

    name = "auto"

    def __init__(
        self, choices: Sequence[Choice], senders: Sequence[Sender], *, link: Link, standby: Standby | None, deadline_s: float
    ) -> None:
        self._senders: dict[Key, Sender] = {(sender.name, sender.setting): sender for sender in senders}
        self._choices: dict[Key, Choice] = {(choice.placement, choice.setting): choice for choice in choices}
        sending = {key for key, choice in self._choices.items() if choice.sends}
        if sending != self._senders.keys() or (standby is None) == any(not choice.sends for choice in choices):
            raise ConfigError(f"choices are {sorted(self._choices)}, senders are {sorted(self._senders)}; they must agree")
        self._local = next((choice for choice in choices if not choice.sends), None)
        self._link, self._standby = link, standby
        settings = ControlSettings(worth=WorthSettings(standby=standby is not None))
        self._controller = Controller(choices, deadline_s=deadline_s, settings=settings)
        self.providers = senders[0].providers if senders else ()
        self._lock = threading.Lock()
        self._connections = -1
        self._was_connected = False
        self._setting = ""

    @property
    def best_sender(self) -> Sender | None:
        """What gives the best answers where time is of no matter; None where nothing is sent."""
        sending = [choice for choice in self._choices.values() if choice.sends]
        best = max(sending, key=lambda choice: (choice.accuracy, -choice.size_bytes), default=None)
        return None if best is None else self._senders[best.placement, best.setting]

    @property
    def setting(self) -> str:
        """What was chosen last, in words."""
        return self._setting

    def decide(self, pending: Pending, thrift: Thrift | None = None) -> Course:
        """Choose for a frame."""
        frame, now_s = pending.frame, time.monotonic()
        with self._lock:
            self._look_at_link(now_s)
            if self._standby is not None and self._local is not None:
                self._controller.computed(self._local, self._standby.usual_s)
            decision = self._controller.decide(
                frame.sequence,
                frame.captured_s,
                now_s,
                may_send=self._link.wait_credit(0.0),
                may_offload=self._link.takes_pictures,
                thrift=0 if thrift is None else thrift.steps,
            )
            self._setting = decision.choice.name
        if decision.reason:
            _log.info("placement", now=decision.choice.name, because=decision.reason, sequence=frame.sequence)
        probe = None if decision.probe is None else self._senders[decision.probe.placement, decision.probe.setting]
        if not decision.choice.sends:
            return Course(None, probe)
        return Course(self._senders[decision.choice.placement, decision.choice.setting])

    def sent(self, sequence: int, sender: Sender, outgoing: Outgoing, future: Future[Reply]) -> None:
        """A capture was given to the link; its answer is learned from when it comes."""
        choice = self._choices[sender.name, sender.setting]
        with self._lock:
            self._controller.computed(choice, sum(outgoing.stages_s.values()))
            self._controller.sent(sequence, choice, outgoing.payload_bytes, time.monotonic())
        future.add_done_callback(lambda done: self._learn(sequence, done))

    def _learn(self, sequence: int, done: Future[Reply]) -> None:
        try:
            reply = done.result()
        except IsthmusError:
            # The stream broke, which the link tells; or the answer cannot be read, which says nothing of the link.
            return
        with self._lock:
            if reply.status == "overloaded":
                self._controller.refused(sequence, time.monotonic())
                return
            server_s = reply.round_trip_s - reply.network_s
            self._controller.answered(sequence, network_s=reply.network_s, server_s=server_s, now_s=time.monotonic())

    def _look_at_link(self, now_s: float) -> None:
        """Tell of a break and of a new connection, also of those that came and went since the last frame."""
        connected, connections = self._link.connected, self._link.reconnects
        if self._was_connected and (not connected or connections != self._connections):
            self._controller.broken(now_s)
        if connected and (not self._was_connected or connections != self._connections):
            self._controller.mended(now_s)
        self._was_connected, self._connections = connected, connections
