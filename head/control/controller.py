"""Chooses for every frame where it is answered and with which setting.

What a choice is worth is its accuracy times the probability that its answer is in time, and what then remains possible for the
next frame: a large picture on a slow link makes the next ones late. The probability comes from the belief of the link, the
measured times of device and server, and what waits already. Then:

- *Thrift*: while the device is hot or its battery low, its time has a price.
- *Hysteresis*: the choice at hand is kept until another is better by a margin.
- *Probing*: while frames are answered on the device, now and then one is sent as well, in the cheapest way, so that a link that
  has come back is noticed.

No choice looks at what the link will do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ConfigError
from isthmus.head.control.choice import Choice
from isthmus.head.control.estimate import Estimate
from isthmus.head.control.link_belief import BeliefSettings, LinkBelief, Vector
from isthmus.head.control.outlay import Outlay
from isthmus.head.control.worth import Worth, WorthSettings

_NEVER_S = -1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """How decisions are made; the defaults are tuned on recorded links that no reported figure comes from."""

    margin: float = 0.005
    """Another choice must be worth so much more, of at most 1 a frame."""
    probe_s: float = 1.0
    """While nothing is sent, a probe this often..."""
    probe_max_s: float = 8.0
    """... and after each that changed nothing twice as late, up to this."""
    worth: WorthSettings = field(default_factory=WorthSettings)
    belief: BeliefSettings = field(default_factory=BeliefSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with one frame.

    Attributes:
        choice: how it is answered.
        chance: how likely the answer is in time.
        probe: to be sent besides, for news of the link; its answer may come as late as it likes.
        reason: why this is another choice than before, in words; empty while it is the same.
    """

    choice: Choice
    chance: float
    probe: Choice | None = None
    reason: str = ""


class Controller:
    """Follows one device; times are seconds of one clock that only goes forward.

    Args:
        choices: at least one; at most one of them local.
        deadline_s: from capture to answer.
        settings: how.

    Raises:
        ConfigError: no choice, several local ones, or a deadline that is none.
    """

    def __init__(self, choices: Sequence[Choice], *, deadline_s: float, settings: ControlSettings | None = None) -> None:
        alone = [choice for choice in choices if not choice.sends]
        if not choices or len(alone) > 1:
            raise ConfigError(
                f"of {len(choices)} choices {len(alone)} are local; a controller needs a choice and one local at most"
            )
        if not deadline_s > 0:
            raise ConfigError(f"the deadline is {deadline_s} s; it has to be above 0")
        self._settings = settings or ControlSettings()
        self._choices = list(choices)
        self._cheapest = min((choice for choice in choices if choice.sends), key=lambda choice: choice.size_bytes, default=None)
        self._has_local = bool(alone)
        self._deadline_s = deadline_s
        self._outlay = Outlay(choices)
        self.belief = LinkBelief(self._settings.belief)
        self._worth = Worth(
            choices, deadline_s=deadline_s, belief=self.belief, outlay=self._outlay, settings=self._settings.worth
        )
        self._sent: dict[int, Choice] = {}
        self._period = Estimate(deadline_s)
        self._last_frame: tuple[int, float] | None = None
        self._at_hand: int | None = None
        self._sent_s = _NEVER_S
        self._probe_pause_s = self._settings.probe_s

    def decide(
        self,
        sequence: int,
        captured_s: float,
        now_s: float,
        *,
        may_send: bool = True,
        may_offload: bool = True,
        thrift: int = 0,
    ) -> Decision:
        """Choose for a frame.

        Args:
            sequence: of the frame.
            captured_s: when it was captured.
            now_s: the time.
            may_send: whether there is a connection with a credit; if not, it is the device's turn, if it can.
            may_offload: whether the server takes pictures.
            thrift: see `Thrift.steps`.
        """
        self._count_frame(sequence, captured_s)
        self.belief.pass_until(now_s)
        chances = self._worth.chances(self._deadline_s - (now_s - captured_s))
        values = self._worth.values(chances, self._period.mean, steps=thrift)
        values[~self._able(may_send=may_send, may_offload=may_offload)] = -np.inf
        best = int(np.argmax(values))
        held = self._at_hand
        if held is not None and values[best] <= values[held] + self._settings.margin:
            best = held
        reason = "" if best == held else self._explain(best, chances, may_send=may_send, thrift=thrift)
        if reason:
            self._probe_pause_s = self._settings.probe_s
        self._at_hand = best
        choice = self._choices[best]
        probe = self._probe(choice, now_s) if may_send else None
        return Decision(choice=choice, chance=float(chances[best]), probe=probe, reason=reason)

    def computed(self, choice: Choice, device_s: float) -> None:
        """Preparing, computing and encoding of one frame took so long on the device."""
        self._outlay.computed(choice, device_s)

    def sent(self, sequence: int, choice: Choice, size_bytes: float, now_s: float) -> None:
        """A capture was given to the link."""
        self._sent[sequence] = choice
        self._sent_s = now_s
        self._outlay.sent(choice, size_bytes)
        self.belief.sent(sequence, size_bytes, now_s)

    def answered(self, sequence: int, *, network_s: float, server_s: float, now_s: float) -> None:
        """A capture was answered, in time or not.

        Args:
            sequence: of the capture.
            network_s: from giving it to the link until the answer, without the server's time.
            server_s: with the server, its queue included.
            now_s: the time.
        """
        choice = self._sent.pop(sequence, None)
        if choice is not None:
            self.belief.answered(sequence, network_s, now_s)
            self._outlay.served(choice, server_s)
            self.belief.server_s = self._outlay.patience_s

    def refused(self, sequence: int, now_s: float, retry_after_s: float = 0.0) -> None:
        """The server has no room; a capture would be with it past the deadline."""
        choice = self._sent.pop(sequence, None)
        if choice is not None:
            self.belief.forget(sequence)
            self._outlay.served(choice, max(self._deadline_s, retry_after_s))
            self.belief.server_s = self._outlay.patience_s

    def broken(self, now_s: float) -> None:
        """The connection was lost, with all that was in flight."""
        self._sent.clear()
        self.belief.broken(now_s)

    def mended(self, now_s: float) -> None:
        """A connection was made."""
        self.belief.mended(now_s)

    def _able(self, *, may_send: bool, may_offload: bool) -> NDArray[np.bool_]:
        """bool[choice]: what can be chosen; without a local choice, frames wait for the link."""
        waits = may_send or not self._has_local
        able = [not choice.sends or (waits and (may_offload or choice.placement != "offload")) for choice in self._choices]
        return np.array(able)

    def _count_frame(self, sequence: int, captured_s: float) -> None:
        if self._last_frame is not None and sequence > self._last_frame[0] and captured_s > self._last_frame[1]:
            self._period.add((captured_s - self._last_frame[1]) / (sequence - self._last_frame[0]))
        self._last_frame = sequence, captured_s

    def _probe(self, choice: Choice, now_s: float) -> Choice | None:
        """The cheapest capture, if nothing was sent for a while and nothing is on its way that would tell as much."""
        if choice.sends or self._cheapest is None or self.belief.in_flight or now_s - self._sent_s < self._probe_pause_s:
            return None
        both_s = self._outlay.device_s(choice) + self._outlay.device_s(self._cheapest)
        if both_s > self._period.mean and now_s - self._sent_s < self._settings.probe_max_s:
            # The next frame would wait for it.
            return None
        self._probe_pause_s = min(self._settings.probe_max_s, 2 * self._probe_pause_s)
        return self._cheapest

    def _explain(self, best: int, chances: Vector, *, may_send: bool, thrift: int) -> str:
        choice = self._choices[best]
        said = [f"in time with {chances[best]:.0%}"]
        if self._at_hand is not None:
            said.append(f"{self._choices[self._at_hand].name} with {chances[self._at_hand]:.0%}")
        low_bit_s, high_bit_s = self.belief.rates_bit_s()
        said.append(f"link {_rate(low_bit_s)} to {_rate(high_bit_s)}, round trip {1e3 * self.belief.round_trip_s:.0f} ms")
        if self.belief.in_flight:
            said.append(f"{self.belief.in_flight} unanswered")
        if not may_send:
            said.append("nothing can be sent now")
        if thrift:
            said.append(f"device spared, step {thrift}")
        said.append(f"{1e3 * self._outlay.device_s(choice):.1f} ms on the device")
        return "; ".join(said)


def _rate(bit_s: float) -> str:
    return f"{bit_s / 1e6:.2g} Mbit/s" if bit_s else "dead"
