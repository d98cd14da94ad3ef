"""The counts of one version of one bundle, kept where every frame passes: plain lists, no lock, the event loop only."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.watching.histogram import Histogram
from isthmus.tail.watching.incidents import Incidents

STATUSES = {number: name.removeprefix("STATUS_").lower() for name, number in wire.Status.items() if number}
_WORTH_A_LOOK = (wire.STATUS_INVALID, wire.STATUS_OVERLOADED, wire.STATUS_FAILED)
"""An expired frame or a key frame that is asked for belongs to good service."""
PLACEMENTS = ("split", "offload")
STAGES = ("queue", "decode", "compute", "post", "total")
METHODS = ("ModelInfer", "ModelStreamInfer", "other")

STAGE_BOUNDS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Three per decade, from a light stage to a lost frame: a percentile read from them is within some 30%."""
PAYLOAD_BOUNDS_BYTES = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)


@dataclass(slots=True, eq=False, kw_only=True)
class StreamFigures:
    """The counts of one open device stream; they go into those of its bundle."""

    bundle: "BundleFigures"
    incidents: Incidents
    number: int
    device_id: str
    """As the device calls itself: anything at all."""
    session: str
    """First digits of its session's id."""
    resumed: bool
    opened_at: float
    """On the clock of the server's streams."""
    captures: int = 0
    """That came in."""
    answers: int = 0

    def received(self, placement: str, size_bytes: int) -> None:
        """A capture came in."""
        self.captures += 1
        self.bundle.payload[placement].observe(size_bytes)

    def answered(self, placement: str, status: int, seconds: Sequence[float]) -> None:
        """A capture was answered; `seconds` are those of `STAGES`, in order."""
        self.answers += 1
        bundle = self.bundle
        bundle.captures[placement, status] += 1
        if status == wire.STATUS_OK:
            for histogram, spent_s in zip(bundle.stages, seconds, strict=True):
                histogram.observe(spent_s)

    def failed(self, status: int, message: str) -> None:
        """A capture will be answered without outputs; what is no part of good service is remembered for a while."""
        if status in _WORTH_A_LOOK:
            self.incidents.note(f"capture {STATUSES[status]}", message, self.device_id)

    def close(self) -> None:
        """The stream ended."""
        self.bundle.streams.discard(self)


class BundleFigures:
    """The counts of one version of one bundle; it lives on when the version is loaded again."""

    def __init__(self, name: str, version: str, incidents: Incidents) -> None:
        self.name = name
        self.version = version
        self.incidents = incidents
        self.streams: set[StreamFigures] = set()
        """Of device streams that are open."""
        self.opened = {False: 0, True: 0}
        """Streams by whether their session was resumed."""
        self.captures = {(placement, status): 0 for placement in PLACEMENTS for status in STATUSES}
        self.stages = tuple(Histogram(STAGE_BOUNDS_S) for _ in STAGES)
        self.payload = {placement: Histogram(PAYLOAD_BOUNDS_BYTES) for placement in PLACEMENTS}
        self.requests: dict[tuple[str, str], int] = {}
        self.request_seconds = {method: Histogram(STAGE_BOUNDS_S) for method in METHODS[:2]}

    def open_stream(self, *, number: int, device_id: str, session: str, resumed: bool, opened_at: float) -> StreamFigures:
        """A device came."""
        self.opened[resumed] += 1
        stream = StreamFigures(
            bundle=self,
            incidents=self.incidents,
            number=number,
            device_id=device_id,
            session=session,
            resumed=resumed,
            opened_at=opened_at,
        )
        self.streams.add(stream)
        return stream

    @property
    def answered(self) -> int:
        """Captures answered with outputs."""
        return sum(count for (_placement, status), count in self.captures.items() if status == wire.STATUS_OK)

    @property
    def failed(self) -> int:
        """Captures answered with another status."""
        return sum(self.captures.values()) - self.answered
