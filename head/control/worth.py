"""What every choice is worth for a frame: chance of being in time times accuracy, and what it leaves for the next frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.head.control.choice import Choice
from isthmus.head.control.link_belief import LOGISTIC, LinkBelief, Vector
from isthmus.head.control.outlay import Outlay


@dataclass(frozen=True, slots=True, kw_only=True)
class WorthSettings:
    """Prices; an answer is worth its accuracy, 0 to 1."""

    thrift_price: float = 0.1
    """What a device that is busy all the time loses for each step of thrift."""
    standby: bool = False
    """Whether a frame whose answer does not come in time is answered on the device after all."""


class Worth:
    """Values choices by the belief of the link and the measured times.

    Args:
        choices: all there are.
        deadline_s: from capture to answer.
        belief: of the link.
        outlay: times of device and server, bytes.
        settings: prices.
    """

    def __init__(
        self, choices: Sequence[Choice], *, deadline_s: float, belief: LinkBelief, outlay: Outlay, settings: WorthSettings
    ) -> None:
        self._deadline_s = deadline_s
        self._belief = belief
        self._outlay = outlay
        self._settings = settings
        self._sends = np.array([choice.sends for choice in choices])
        self._accuracy = np.array([choice.accuracy for choice in choices])
        self._last_resort = max((choice.accuracy for choice in choices if not choice.sends), default=0.0)

    def chances(self, left_s: float) -> Vector:
        """float64[choice]: how likely each is in time, if so much time is left now."""
        outlay = self._outlay
        within_s, spread_s = left_s - outlay.spent_s, outlay.spread_s
        sent = self._belief.in_time(outlay.sizes_bytes, within_s, spread_s, outlay.size_spreads)
        return np.where(self._sends, sent, _alone(within_s, spread_s))

    def values(self, chances: Vector, period_s: float, *, steps: int) -> Vector:
        """float64[choice]: what each is worth.

        Args:
            chances: as `chances` gave them.
            period_s: between two frames.
            steps: of thrift.
        """
        settings = self._settings
        device_s = self._outlay.devices_s
        # Of frames that come faster than they are computed, only so many are answered at all.
        share = np.minimum(1.0, period_s / np.maximum(device_s, 1e-6))
        busy = np.minimum(1.0, (device_s + self._late_s(chances)) / period_s)
        now = self._worth(chances) * share - settings.thrift_price * steps * busy
        later = self._worth(self._later_chances(period_s)).max(-1)
        return np.asarray(now + later)

    def _worth(self, chances: Vector) -> Vector:
        rest = self._last_resort if self._settings.standby else 0.0
        return np.asarray(chances * self._accuracy + (1 - chances) * np.where(self._sends, rest, 0.0))

    def _late_s(self, chances: Vector) -> Vector:
        """float64[choice]: time of the device on frames that the server does not answer in time."""
        alone_s = self._outlay.devices_s[~self._sends].sum() if self._settings.standby else 0.0
        return np.asarray(np.where(self._sends, (1 - chances) * alone_s, 0.0))

    def _later_chances(self, period_s: float) -> Vector:
        """float64[choice, next choice]: the same for the next frame, after each choice for this one."""
        outlay = self._outlay
        within_s, spread_s, sizes_bytes = self._deadline_s - outlay.spent_s, outlay.spread_s, outlay.sizes_bytes
        sent = self._belief.in_time_after(sizes_bytes, period_s, sizes_bytes, within_s, spread_s, outlay.size_spreads)
        return np.where(self._sends, sent, _alone(within_s, spread_s))


def _alone(within_s: Vector, spread_s: Vector) -> Vector:
    """How likely something without the network is done in time."""
    return np.asarray(1 / (1 + np.exp(np.clip(-LOGISTIC * within_s / spread_s, -40, 40))))
