"""What a frame can be answered with: a placement and its setting, and what is known of it beforehand."""

from dataclasses import dataclass
from typing import Literal

Placement = Literal["local", "split", "offload"]
DEVICE_S = 0.01
"""First guess of a time that nobody has measured; the first frame tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to answer a frame.

    Attributes:
        placement: `local` sends nothing.
        setting: operating point or picture setting, as the placement itself calls it.
        accuracy: what an answer is worth, 0 to 1, as measured on pictures that nothing was trained on.
        size_bytes: payload of a mean frame.
        device_s: first guess of its time on the device; what is measured counts soon.
        server_s: first guess of its time on the server.
    """

    placement: Placement
    setting: str
    accuracy: float
    size_bytes: float = 0.0
    device_s: float = DEVICE_S
    server_s: float = DEVICE_S

    @property
    def sends(self) -> bool:
        """Whether it needs the link."""
        return self.placement != "local"

    @property
    def name(self) -> str:
        """For people."""
        return self.placement if not self.sends else f"{self.placement} {self.setting}"
