"""One way to answer a frame, with all that a plan knows of it before a link is chosen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from isthmus.contract.metric import Metric
from isthmus.devices.cost.table import Seconds

NO_BOTTLENECK = "no bottleneck trained there: bytes of the exact cut"
ASSUMED = "accuracy not measured: the unsplit network's is assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A placement with its setting.

    Attributes:
        placement: where.
        setting: network, operating point, picture setting, or number of a cut.
        point: operating point of the bundle; None for others.
        metric: what answers are worth.
        payload_bytes: mean; 0 where nothing is sent.
        usual_bytes: median, which the median latency goes by.
        device: stage -> seconds on the device.
        server: stage -> seconds on the server without its queue.
        round_trip: what a round trip takes besides link and server's own times; None where nothing is sent.
        marks: what a reader has to know of the figures.
    """

    placement: Literal["local", "split", "offload"]
    setting: str
    point: str | None = None
    metric: Metric
    payload_bytes: float = 0.0
    usual_bytes: float = 0.0
    device: Mapping[str, Seconds]
    server: Mapping[str, Seconds] = field(default_factory=dict)
    round_trip: Seconds | None = None
    marks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.placement} {self.setting}"

    @property
    def sends(self) -> bool:
        """Whether it needs link and server."""
        return self.placement != "local"

    @property
    def is_there(self) -> bool:
        """Whether the bundle can do it as it is."""
        return NO_BOTTLENECK not in self.marks


def together(parts: Iterable[Seconds]) -> Seconds:
    """One after the other; bounds add up.

    >>> together([Seconds(value=1, low=0.5, high=2), Seconds(value=1, low=1, high=1)])
    Seconds(value=2.0, low=1.5, high=3.0)
    """
    found = list(parts)
    return Seconds(
        value=float(sum(part.value for part in found)),
        low=float(sum(part.low for part in found)),
        high=float(sum(part.high for part in found)),
    )
