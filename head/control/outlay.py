"""What each choice costs: time on the device and on the server, bytes; by what was measured."""

import math
from collections.abc import Sequence

import numpy as np

from isthmus.head.control.choice import Choice
from isthmus.head.control.estimate import Estimate
from isthmus.head.control.link_belief import Vector

_DEVIATIONS = 1.25
"""Of a normal distribution, the standard deviation over the mean distance from the mean."""
_LEAST_SPREAD_S = 1e-4
_PATIENCE = 3


class Outlay:
    """Estimates for every choice. What the server does is shared by the points of a split, and by picture settings."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = choices
        self._device_s = {choice.name: Estimate(choice.device_s) for choice in choices}
        self._size_bytes = {choice.name: Estimate(choice.size_bytes) for choice in choices}
        self._server_s = {choice.placement: Estimate(choice.server_s) for choice in choices if choice.sends}

    def computed(self, choice: Choice, device_s: float) -> None:
        """One frame took so long on the device."""
        self._device_s[choice.name].add(device_s)

    def sent(self, choice: Choice, size_bytes: float) -> None:
        """One payload was so long."""
        self._size_bytes[choice.name].add(size_bytes)

    def served(self, choice: Choice, server_s: float) -> None:
        """One capture was with the server for so long, its queue included."""
        self._server_s[choice.placement].add(server_s)

    def device_s(self, choice: Choice) -> float:
        """What to expect of the device."""
        return self._device_s[choice.name].mean

    @property
    def devices_s(self) -> Vector:
        """float64[choice]: the same for all."""
        return np.array([self._device_s[choice.name].mean for choice in self._choices])

    @property
    def sizes_bytes(self) -> Vector:
        """float64[choice]: payload to expect; 0 where nothing is sent."""
        return np.array([self._size_bytes[choice.name].mean if choice.sends else 0.0 for choice in self._choices])

    @property
    def size_spreads(self) -> Vector:
        """float64[choice]: standard deviation of the payload, as part of it."""
        sizes = [self._size_bytes[choice.name] for choice in self._choices]
        return np.array([_DEVIATIONS * size.deviation / max(size.mean, 1.0) for size in sizes])

    @property
    def spent_s(self) -> Vector:
        """float64[choice]: time to expect beside the network's."""
        return np.array([self._device_s[choice.name].mean + self._of_server(choice).mean for choice in self._choices])

    @property
    def spread_s(self) -> Vector:
        """float64[choice]: standard deviation of that."""
        parts = [(self._device_s[choice.name].deviation, self._of_server(choice).deviation) for choice in self._choices]
        return np.array([_DEVIATIONS * math.hypot(*deviations_s) + _LEAST_SPREAD_S for deviations_s in parts])

    @property
    def patience_s(self) -> float:
        """What a server may take before it counts as slow."""
        return max((times.mean + _PATIENCE * times.deviation for times in self._server_s.values()), default=0.0)

    def _of_server(self, choice: Choice) -> Estimate:
        return self._server_s[choice.placement] if choice.sends else _NOTHING


_NOTHING = Estimate(0.0)
