"""An agent, the shaper's lanes and a server, in virtual time.

The lanes are those of the shaper itself (`devices.lane`), driven by a clock that jumps. Agent and server do what the real ones
do: one frame waits at most and the newest wins; the device does one thing at a time; a capture needs a credit; the server answers
in order. `validation` sets it beside the real programs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from benchmarks.controller.scenario import ANSWER_BYTES, OVERHEAD_BYTES, Scenario
from benchmarks.controller.virtual_clock import VirtualClock

from isthmus.devices.lane import DelayLine, Ending, Lane

CREDITS = 3
"""Captures in flight that a server takes of a device by default."""


@dataclass(slots=True)
class Outcome:
    """What came of the frames.

    Attributes:
        chosen: int[frame], row of the choice, -1 where the frame gave way to a newer one.
        in_time: bool[frame].
        sent_bytes: payloads.
        network_s: of every capture that was answered, round trip without the server's time.
        decisions: frame and words of every change.
    """

    chosen: np.ndarray
    in_time: np.ndarray
    sent_bytes: int = 0
    network_s: list[float] = field(default_factory=list)
    decisions: list[tuple[int, str]] = field(default_factory=list)

    def score(self, accuracy: np.ndarray, otherwise: float = 0.0) -> float:
        """Mean of accuracy x answered in time; `otherwise` is what a frame without answer in time is worth."""
        return float(np.where(self.in_time, accuracy[np.maximum(self.chosen, 0)], otherwise).mean())


class Policy(Protocol):
    """Who decides. Rows are those of the scenario's choices."""

    needs_credit: bool
    """Whether frames wait for a credit; who can answer without one does not wait."""

    def decide(self, frame: int, captured_s: float, now_s: float, *, may_send: bool) -> tuple[int, int | None, str]:
        """Row to answer with, row to probe with, reason of a change."""
        ...

    def computed(self, row: int, device_s: float) -> None:
        """Time on the device."""

    def sent(self, number: int, row: int, size_bytes: int, now_s: float) -> None:
        """A capture left."""

    def answered(self, number: int, network_s: float, server_s: float, now_s: float) -> None:
        """Its answer came."""


class Fixed:
    """Always the same choice."""

    def __init__(self, scenario: Scenario, row: int) -> None:
        self.needs_credit = scenario.choices[row].placement != "local"
        self._row = row

    def decide(self, frame: int, captured_s: float, now_s: float, *, may_send: bool) -> tuple[int, int | None, str]:
        """The choice."""
        return self._row, None, ""

    def computed(self, row: int, device_s: float) -> None:
        """Nothing is learned."""

    def sent(self, number: int, row: int, size_bytes: int, now_s: float) -> None:
        """Nothing is learned."""

    def answered(self, number: int, network_s: float, server_s: float, now_s: float) -> None:
        """Nothing is learned."""


class _Way:
    """One direction: messages in, and a call when the last byte of each has arrived."""

    def __init__(self, clock: VirtualClock, scenario: Scenario) -> None:
        self._line = DelayLine(Lane(clock, scenario.profile, seed=0), self._deliver)
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        self._sent = self._arrived = 0

    def send(self, size_bytes: int, arrived: Callable[[], None]) -> None:
        self._sent += size_bytes
        self._waiting.append((self._sent, arrived))
        self._line.put(bytes(size_bytes))

    def _deliver(self, item: bytes | Ending) -> None:
        assert isinstance(item, bytes)
        self._arrived += len(item)
        while self._waiting and self._waiting[0][0] <= self._arrived:
            self._waiting.pop(0)[1]()


class Simulation:
    """One run of one policy."""

    def __init__(self, scenario: Scenario, policy: Policy) -> None:
        self._scenario, self._policy = scenario, policy
        self._clock = VirtualClock()
        self._up, self._down = _Way(self._clock, scenario), _Way(self._clock, scenario)
        frames = scenario.camera.frames
        self._outcome = Outcome(np.full(frames, -1), np.zeros(frames, dtype=bool))
        self._mailbox: int | None = None
        self._is_busy = False
        self._in_flight = 0
        self._captures = 0
        self._server_free_s = 0.0

    def run(self) -> Outcome:
        """All frames, and what is still on its way for a deadline more."""
        camera = self._scenario.camera
        for frame in range(camera.frames):
            self._clock.run_until(self._scenario.captured_s(frame))
            self._mailbox = frame
            self._take()
        self._clock.run_until(self._scenario.captured_s(camera.frames) + camera.deadline_s)
        return self._outcome

    def _take(self) -> None:
        """Begin with the frame that waits, if the device is idle."""
        has_credit = self._in_flight < CREDITS
        if self._is_busy or self._mailbox is None or (self._policy.needs_credit and not has_credit):
            return
        frame, self._mailbox = self._mailbox, None
        now_s, captured_s = self._clock.time(), self._scenario.captured_s(frame)
        if self._policy.needs_credit and now_s - captured_s >= self._scenario.camera.deadline_s:
            return
        row, probe, reason = self._policy.decide(frame, captured_s, now_s, may_send=has_credit)
        if reason:
            self._outcome.decisions.append((frame, reason))
        self._outcome.chosen[frame] = row
        self._is_busy = True
        self._after(self._scenario.device_s[row, frame], lambda: self._computed(frame, row, probe))

    def _computed(self, frame: int, row: int, probe: int | None) -> None:
        self._policy.computed(row, self._scenario.device_s[row, frame])
        if self._scenario.choices[row].placement == "local":
            self._answered(frame)
        else:
            self._send(frame, row, counts=True)
        if probe is None:
            self._idle()
        else:
            self._after(self._scenario.device_s[probe, frame], lambda: self._probed(frame, probe))

    def _probed(self, frame: int, probe: int) -> None:
        self._policy.computed(probe, self._scenario.device_s[probe, frame])
        self._send(frame, probe, counts=False)
        self._idle()

    def _idle(self) -> None:
        self._is_busy = False
        self._take()

    def _send(self, frame: int, row: int, *, counts: bool) -> None:
        number, self._captures = self._captures, self._captures + 1
        sent_s, size_bytes = self._clock.time(), int(self._scenario.size_bytes[row, frame])
        self._in_flight += 1
        self._outcome.sent_bytes += size_bytes
        self._policy.sent(number, row, size_bytes, sent_s)

        def serve() -> None:
            arrived_s = self._clock.time()
            begins_s = max(arrived_s, self._server_free_s)
            # Who has waited too long is answered without being computed.
            left_s = self._scenario.camera.deadline_s - (sent_s - self._scenario.captured_s(frame))
            computes = begins_s - arrived_s < left_s
            self._server_free_s = begins_s + (self._scenario.server_s[row, frame] if computes else 0.0)
            server_s = self._server_free_s - arrived_s
            reply = partial(self._replied, frame, number, sent_s, server_s, counts and computes)
            self._after(server_s, lambda: self._down.send(ANSWER_BYTES, reply))

        self._up.send(size_bytes + OVERHEAD_BYTES, serve)

    def _replied(self, frame: int, number: int, sent_s: float, server_s: float, counts: bool) -> None:
        now_s = self._clock.time()
        self._in_flight -= 1
        network_s = now_s - sent_s - server_s
        self._outcome.network_s.append(network_s)
        self._policy.answered(number, network_s, server_s, now_s)
        if counts:
            self._answered(frame)
        self._take()

    def _answered(self, frame: int) -> None:
        late_s = self._clock.time() - self._scenario.captured_s(frame) - self._scenario.camera.deadline_s
        self._outcome.in_time[frame] = late_s <= 0

    def _after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._clock.call_at(self._clock.time() + seconds, callback)
