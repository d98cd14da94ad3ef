"""What the server counts, for Prometheus: names `isthmus_*`, base units, labels from closed sets.

No label comes from a device: ids are unbounded, and a newline in one would forge samples. A bundle's name is a label only once
it is served. Counts are kept in plain lists, on the event loop only, and become Prometheus' families when somebody asks: its own
counters take a lock and check names with every value, which for a light tail is a few percent of a frame.
"""

import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

import grpc
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from isthmus import __version__
from isthmus.errors import (
    AccessError,
    BundleNotServed,
    ContractMismatch,
    IsthmusError,
    LimitExceeded,
    PermissionDenied,
    ProtocolError,
    QuotaExceeded,
    TailUnavailable,
)
from isthmus.tail.served import AnyServed
from isthmus.tail.watching import families, language
from isthmus.tail.watching.figures import METHODS, STAGES, STATUSES, BundleFigures
from isthmus.tail.watching.incidents import Incidents
from isthmus.tail.watching.language import Conversing
from isthmus.tail.watching.updates import UpdateFigures

ENDINGS = ("closed", "cancelled", "refused", "failed", "drained")
REFUSALS = (
    "draining",
    "full",
    "bundle",
    "contract",
    "protocol",
    "limit",
    "rate",
    "unauthenticated",
    "permission",
    "other",
)
"""Why a stream or request was turned away: no room or time for it; what it asked for; what it did; who it is."""

BUNDLES_MAX = 256
"""Versions of which figures are kept; past that, those that are served no longer are forgotten first."""


class Metrics(Collector):
    """All figures of one server, in a registry of its own.

    Args:
        served: gives what is served at the time of a scrape.
        sessions: gives the number of sessions.
        session_bytes: gives the memory of their frames.
        delayed: gives how many credits and calls had to wait.
        cache_bytes: gives the memory of conversations with language models.
        ready: tells whether new streams are taken.
    """

    def __init__(
        self,
        *,
        served: Callable[[], Iterable[AnyServed]],
        sessions: Callable[[], int],
        session_bytes: Callable[[], int] = lambda: 0,
        delayed: Callable[[], int] = lambda: 0,
        cache_bytes: Callable[[], int] = lambda: 0,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._served = served
        self._sessions = sessions
        self._session_bytes = session_bytes
        self._delayed = delayed
        self._cache_bytes = cache_bytes
        self._ready = ready
        self._bundles: dict[tuple[str, str], BundleFigures] = {}
        self.incidents = Incidents()
        """What went wrong lately."""
        self._unnamed = BundleFigures("", "", self.incidents)
        self._ended = dict.fromkeys(ENDINGS, 0)
        self._refused = dict.fromkeys(REFUSALS, 0)
        self._loads = {"ok": 0, "failed": 0}
        self._unloads = 0
        self.updates = UpdateFigures()
        """Bundles that are handed out."""
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def of(self, served: AnyServed) -> BundleFigures:
        """The counts of a bundle that is served; look them up once, not for each frame."""
        key = (served.name, served.version)
        if key not in self._bundles:
            if len(self._bundles) >= BUNDLES_MAX:
                self._forget()
            self._bundles[key] = BundleFigures(*key, self.incidents)
        return self._bundles[key]

    @property
    def bundles(self) -> tuple[BundleFigures, ...]:
        """Counts of every bundle that is or was served."""
        return tuple(self._bundles.values())

    def ended(self, reason: str) -> None:
        """A stream ended, for one of `ENDINGS`."""
        self._ended[reason] += 1

    def refused(self, reason: str, message: str = "", *, what: str = "stream", device_id: str = "") -> None:
        """A stream or a request was turned away.

        Args:
            reason: one of `REFUSALS`; others are counted as `other`.
            message: what the other side was told.
            what: what was turned away.
            device_id: who, if that is known.
        """
        self._refused[reason if reason in self._refused else "other"] += 1
        self.incidents.note(f"{what} refused", message or reason, device_id)

    def requested(self, method: str, status: grpc.StatusCode, *, served: AnyServed | None = None, seconds: float = 0.0) -> None:
        """A request of the Open Inference Protocol was answered.

        Args:
            method: one of `METHODS`; others are counted together.
            status: of the call, or of one answer of a stream.
            served: the bundle that was asked; None where none was found.
            seconds: from arrival to answer; counted where the status is OK.
        """
        figures = self._unnamed if served is None else self.of(served)
        key = (method if method in METHODS else "other", status.name.lower())
        figures.requests[key] = figures.requests.get(key, 0) + 1
        if status is grpc.StatusCode.OK and method in figures.request_seconds:
            figures.request_seconds[method].observe(seconds)

    def loaded(self, *, ok: bool, message: str = "") -> None:
        """A bundle was loaded, or could not be for the reason in `message`."""
        self._loads["ok" if ok else "failed"] += 1
        if not ok:
            self.incidents.note("load failed", message)

    def unloaded(self) -> None:
        """A bundle was let go."""
        self._unloads += 1

    @property
    def requests(self) -> int:
        """Requests of the Open Inference Protocol answered so far."""
        return sum(sum(figures.requests.values()) for figures in (self._unnamed, *self.bundles))

    @property
    def refusals(self) -> int:
        """Streams and requests turned away so far."""
        return sum(self._refused.values())

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """The families, for a scrape."""
        served = tuple(self._served())
        for one in served:
            if not isinstance(one, Conversing):
                self.of(one)
        yield _build_info()
        yield _single(families.gauge(families.READY), int(self._ready()))
        yield from _served_gauges(served)
        yield _single(families.gauge(families.SESSIONS), self._sessions())
        yield _single(families.gauge(families.SESSION_BYTES), self._session_bytes())
        yield _single(families.counter(families.DELAYED), self._delayed())
        yield _by_label(families.ENDED, self._ended)
        yield _by_label(families.REFUSED, self._refused)
        yield from _stream_counts(self.bundles)
        yield from _request_counts((self._unnamed, *self.bundles))
        yield _single(families.gauge(families.CACHE_BYTES), self._cache_bytes())
        yield from language.collect(one.figures for one in served if isinstance(one, Conversing))
        yield _by_label(families.LOADS, self._loads)
        yield _single(families.counter(families.UNLOADS), self._unloads)
        yield from self.updates.collect()

    def _forget(self) -> None:
        kept = {(one.name, one.version) for one in self._served()}
        for key, figures in tuple(self._bundles.items()):
            if key not in kept and not figures.streams:
                del self._bundles[key]
                return


def refusal(error: IsthmusError) -> str:
    """The reason of `REFUSALS` that an error stands for."""
    kinds: tuple[tuple[type[IsthmusError], str], ...] = (
        (ContractMismatch, "contract"),
        (BundleNotServed, "bundle"),
        (LimitExceeded, "limit"),
        (ProtocolError, "protocol"),
        (QuotaExceeded, "rate"),
        (PermissionDenied, "permission"),
        (AccessError, "unauthenticated"),
        (TailUnavailable, "full"),
    )
    return next((reason for kind, reason in kinds if isinstance(error, kind)), "other")


def _single(family: Metric, value: float) -> Metric:
    family.add_metric([], value)  # type: ignore[attr-defined]
    return family


def _by_label(family: families.Family, counts: dict[str, int]) -> Metric:
    counted = families.counter(family)
    for label, count in counts.items():
        counted.add_metric([label], count)
    return counted


def _build_info() -> Metric:
    info = families.gauge(families.BUILD_INFO)
    info.add_metric([__version__, platform.python_version(), _installed("onnxruntime"), grpc.__version__], 1)
    return info


def _installed(package: str) -> str:
    for name in (package, f"{package}-gpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _served_gauges(served: Iterable[AnyServed]) -> Iterator[Metric]:
    info, instances, queued = map(families.gauge, (families.BUNDLE_INFO, families.INSTANCES, families.QUEUE_LENGTH))
    for one in served:
        of = [one.name, one.version]
        info.add_metric([*of, one.bundle.digest[:12], one.provider], 1)
        instances.add_metric(of, one.instances)
        queued.add_metric(of, one.queued)
    yield from (info, instances, queued)


def _stream_counts(bundles: Iterable[BundleFigures]) -> Iterator[Metric]:
    streams = families.gauge(families.STREAMS)
    opened, captures = families.counter(families.OPENED), families.counter(families.CAPTURES)
    stages, payload = families.histogram(families.STAGE_SECONDS), families.histogram(families.PAYLOAD_BYTES)
    for figures in bundles:
        of = [figures.name, figures.version]
        streams.add_metric(of, len(figures.streams))
        for resumed, count in figures.opened.items():
            opened.add_metric([*of, str(resumed).lower()], count)
        for (placement, status), count in figures.captures.items():
            captures.add_metric([*of, placement, STATUSES[status]], count)
        for stage, spent in zip(STAGES, figures.stages, strict=True):
            stages.add_metric([*of, stage], buckets=spent.buckets(), sum_value=spent.total)
        for placement, sizes in figures.payload.items():
            payload.add_metric([*of, placement], buckets=sizes.buckets(), sum_value=sizes.total)
    yield from (streams, opened, captures, stages, payload)


def _request_counts(bundles: Iterable[BundleFigures]) -> Iterator[Metric]:
    requests, seconds = families.counter(families.REQUESTS), families.histogram(families.REQUEST_SECONDS)
    for figures in bundles:
        of = [figures.name, figures.version]
        for (method, status), count in figures.requests.items():
            requests.add_metric([*of, method, status], count)
        for method, spent in figures.request_seconds.items():
            if any(spent.counts):
                seconds.add_metric([*of, method], buckets=spent.buckets(), sum_value=spent.total)
    yield from (requests, seconds)
