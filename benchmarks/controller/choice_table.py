"""One choice and what it does with every picture of a part: what the comparison knows of it."""

from dataclasses import dataclass

import numpy as np

_QUIET = 10
"""Percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceTable:
    """One choice on the pictures of one part, in one order for all choices.

    Attributes:
        placement: `local`, `split`, `offload`.
        setting: name of the point, picture setting, or `local`.
        size_bytes: payload of each picture; 0 where nothing is sent.
        right: 1 where the answer is the label.
        device_s: on the device, for each picture: preparation, network and codec or picture encoder.
        server_s: decoding and network.
    """

    placement: str
    setting: str
    size_bytes: list[int]
    right: list[int]
    device_s: list[float]
    server_s: list[float]

    @property
    def name(self) -> str:
        """In tables."""
        return self.placement if self.placement == "local" else f"{self.placement} {self.setting}"

    @property
    def accuracy(self) -> float:
        """Share that is right."""
        return sum(self.right) / len(self.right)

    @property
    def quiet_device_s(self) -> float:
        """What the device takes when nobody disturbs it, as the quicker times tell on a shared machine."""
        return float(np.percentile(self.device_s, _QUIET))

    @property
    def quiet_server_s(self) -> float:
        """The same of the server."""
        return float(np.percentile(self.server_s, _QUIET))
