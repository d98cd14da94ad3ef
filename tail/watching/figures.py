"""The counts of one version of one bundle, kept where every frame passes: plain lists, no lock, the event loop only."""

from collections.abc import Sequence

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.watching.histogram import Histogram

STATUSES = {number: name.removeprefix("STATUS_").lower() for name, number in wire.Status.items() if number}
PLACEMENTS = ("split", "offload")
STAGES = ("queue", "decode", "compute", "post", "total")
METHODS = ("ModelInfer", "ModelStreamInfer", "other")

STAGE_BOUNDS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Three per decade, from a light stage to a lost frame: a percentile read from them is within some 30%."""
PAYLOAD_BOUNDS_BYTES = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)


class BundleFigures:
    """The counts of one version of one bundle; it lives on when the version is loaded again."""

    __slots__ = ("captures", "name", "opened", "payload", "request_seconds", "requests", "stages", "streams", "version")

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.streams = 0
        """Device streams that are open."""
        self.opened = {False: 0, True: 0}
        """Streams by whether their session was resumed."""
        self.captures = {(placement, status): 0 for placement in PLACEMENTS for status in STATUSES}
        self.stages = tuple(Histogram(STAGE_BOUNDS_S) for _ in STAGES)
        self.payload = {placement: Histogram(PAYLOAD_BOUNDS_BYTES) for placement in PLACEMENTS}
        self.requests: dict[tuple[str, str], int] = {}
        self.request_seconds = {method: Histogram(STAGE_BOUNDS_S) for method in METHODS[:2]}

    def stream_opened(self, *, resumed: bool) -> None:
        """A device came."""
        self.opened[resumed] += 1
        self.streams += 1

    def received(self, placement: str, size_bytes: int) -> None:
        """A capture came in."""
        self.payload[placement].observe(size_bytes)

    def answered(self, placement: str, status: int, seconds: Sequence[float]) -> None:
        """A capture was answered; `seconds` are those of `STAGES`, in order."""
        self.captures[placement, status] += 1
        if status == wire.STATUS_OK:
            for histogram, spent_s in zip(self.stages, seconds, strict=True):
                histogram.observe(spent_s)

    @property
    def answers(self) -> int:
        """Captures answered so far, well or not."""
        return sum(self.captures.values())
