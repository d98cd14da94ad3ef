"""What the server counts, for Prometheus: names `isthmus_*`, base units, labels from closed sets.

No label comes from a device: ids are unbounded, and a newline in one would forge samples. Counts are kept in plain lists, on
the event loop only, and become Prometheus' families when somebody asks: its own counters take a lock and check names with
every value, which for a light tail is a few percent of a frame.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from isthmus.contract.generated import split_pb2 as wire

STATUSES = {number: name.removeprefix("STATUS_").lower() for name, number in wire.Status.items() if number}
PLACEMENTS = ("split", "offload")
STAGES = ("queue", "decode", "compute", "post", "total")
ENDINGS = ("closed", "cancelled", "refused", "failed", "drained")

_STAGE_BOUNDS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Two per decade from a light stage to a lost frame."""
_PAYLOAD_BOUNDS_BYTES = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)


class _Histogram:
    """Counts by upper bound; the last count is of what passes all bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class Metrics(Collector):
    """All figures of one server, in a registry of its own.

    Args:
        queued: gives the length of the queue at the time of a scrape.
        sessions: gives the number of sessions.
    """

    def __init__(self, *, queued: Callable[[], int], sessions: Callable[[], int]) -> None:
        self.streams = 0
        """Device streams that are open."""
        self._queued = queued
        self._sessions = sessions
        self._answered = {(status, placement): 0 for status in STATUSES for placement in PLACEMENTS}
        self._ended = dict.fromkeys(ENDINGS, 0)
        self._stages = tuple(_Histogram(_STAGE_BOUNDS_S) for _ in STAGES)
        self._payload = {placement: _Histogram(_PAYLOAD_BOUNDS_BYTES) for placement in PLACEMENTS}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def received(self, placement: str, size_bytes: int) -> None:
        """A capture came in."""
        self._payload[placement].observe(size_bytes)

    def answered(self, placement: str, status: int, seconds: Sequence[float]) -> None:
        """A capture was answered; `seconds` are those of `STAGES`, in order."""
        self._answered[status, placement] += 1
        if status == wire.STATUS_OK:
            for histogram, spent_s in zip(self._stages, seconds, strict=True):
                histogram.observe(spent_s)

    def ended(self, reason: str) -> None:
        """A stream ended, for one of `ENDINGS`."""
        self._ended[reason] += 1

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """The families, for a scrape."""
        yield GaugeMetricFamily("isthmus_streams", "Device streams that are open.", value=self.streams)
        yield GaugeMetricFamily("isthmus_queue_length", "Frames that wait for a worker.", value=self._queued())
        yield GaugeMetricFamily("isthmus_sessions", "Sessions held, with and without a stream.", value=self._sessions())
        answered = CounterMetricFamily("isthmus_captures", "Captures answered.", labels=["placement", "status"])
        for (status, placement), count in self._answered.items():
            answered.add_metric([placement, STATUSES[status]], count)
        yield answered
        ended = CounterMetricFamily("isthmus_streams_ended", "Device streams that ended.", labels=["reason"])
        for reason, count in self._ended.items():
            ended.add_metric([reason], count)
        yield ended
        stages = HistogramMetricFamily("isthmus_stage_seconds", "Time of answered captures by stage.", labels=["stage"])
        for stage, histogram in zip(STAGES, self._stages, strict=True):
            stages.add_metric([stage], buckets=histogram.buckets(), sum_value=histogram.total)
        yield stages
        payload = HistogramMetricFamily("isthmus_payload_bytes", "Size of codes and pictures.", labels=["placement"])
        for placement, histogram in self._payload.items():
            payload.add_metric([placement], buckets=histogram.buckets(), sum_value=histogram.total)
        yield payload
