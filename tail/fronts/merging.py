"""The figures of several processes as those of one server, in Prometheus' text format."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

SMALLEST = frozenset({"isthmus_ready", "process_start_time_seconds"})
"""One process that is not ready is told; the server began with the first of them."""
ONE_OF_ALL = ("_info",)
"""The same everywhere."""


class _Merged(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def merged(texts: Iterable[str]) -> bytes:
    """Counters, histograms and gauges are added up sample by sample."""
    families: dict[str, Metric] = {}
    samples: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            sums = samples.setdefault(family.name, {})
            for sample in family.samples:
                key = sample.name, tuple(sample.labels.items())
                sums[key] = _together(family.name, sums[key], sample.value) if key in sums else sample.value
    for name, family in families.items():
        family.samples = [Sample(own, dict(labels), value) for (own, labels), value in samples[name].items()]
    registry = CollectorRegistry()
    registry.register(_Merged(families.values()))
    return generate_latest(registry)


def _together(family: str, one: float, other: float) -> float:
    if family in SMALLEST:
        return min(one, other)
    return one if family.endswith(ONE_OF_ALL) else one + other
