"""What the server counts, for Prometheus: names `isthmus_*`, base units, labels from closed sets.

No label comes from a device: ids are unbounded, and a newline in one would forge samples.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from isthmus.contract.generated import split_pb2 as wire

STATUSES = {number: name.removeprefix("STATUS_").lower() for name, number in wire.Status.items() if number}
PLACEMENTS = ("split", "offload")
STAGES = ("queue", "decode", "compute", "post", "total")
ENDINGS = ("closed", "cancelled", "refused", "failed", "drained")

_STAGE_BUCKETS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Three per decade from a light stage to a lost frame."""
_PAYLOAD_BUCKETS_BYTES = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)


class Metrics:
    """All figures of one server, in a registry of its own.

    Args:
        queued: gives the length of the queue at the time of a scrape.
        sessions: gives the number of sessions.
    """

    def __init__(self, *, queued: Callable[[], int], sessions: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.streams = Gauge("isthmus_streams", "Device streams that are open.", registry=self.registry)
        self._gauge("isthmus_queue_length", "Frames that wait for a worker.", queued)
        self._gauge("isthmus_sessions", "Sessions held, with and without a stream.", sessions)
        answered = Counter(
            "isthmus_captures", "Captures answered, by status and placement.", ["status", "placement"], registry=self.registry
        )
        # A child for each label value is looked up here once and not with every frame.
        self._answered = {
            (number, placement): answered.labels(status=name, placement=placement)
            for number, name in STATUSES.items()
            for placement in PLACEMENTS
        }
        ended = Counter("isthmus_streams_ended", "Device streams that ended, by reason.", ["reason"], registry=self.registry)
        self._ended = {reason: ended.labels(reason=reason) for reason in ENDINGS}
        stages = Histogram(
            "isthmus_stage_seconds", "Time of answered captures.", ["stage"], buckets=_STAGE_BUCKETS_S, registry=self.registry
        )
        self._stages = {stage: stages.labels(stage=stage) for stage in STAGES}
        payload = Histogram(
            "isthmus_payload_bytes", "Size of codes and pictures.", ["placement"], buckets=_PAYLOAD_BUCKETS_BYTES,
            registry=self.registry,
        )  # fmt: skip
        self._payload = {placement: payload.labels(placement=placement) for placement in PLACEMENTS}

    def _gauge(self, name: str, text: str, read: Callable[[], int]) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)

    def received(self, placement: str, size_bytes: int) -> None:
        """A capture came in."""
        self._payload[placement].observe(size_bytes)

    def answered(self, placement: str, status: int, seconds: tuple[float, float, float, float, float]) -> None:
        """A capture was answered; `seconds` are those of `STAGES`, in order."""
        self._answered[status, placement].inc()
        if status == wire.STATUS_OK:
            for stage, spent_s in zip(STAGES, seconds, strict=True):
                self._stages[stage].observe(spent_s)

    def ended(self, reason: str) -> None:
        """A stream ended, for one of `ENDINGS`."""
        self._ended[reason].inc()

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)
