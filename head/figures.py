"""What an agent has done so far, counted from its records: for Prometheus, and for the status page."""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.head.record import Record

LATENCY_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the histogram: from a local answer to a link that hardly works."""
LATEST_MAX = 10
"""Records that the status page shows."""


class Figures:
    """A sink that counts; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._answered: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._payload_bytes: Counter[str] = Counter()
        self._buckets: Counter[float] = Counter()
        self._latency_s = 0.0
        self._stages_s: dict[str, tuple[float, int]] = {}
        self._latest: deque[dict[str, Any]] = deque(maxlen=LATEST_MAX)

    def write(self, record: Record) -> None:
        """Count one record."""
        with self._lock:
            for stage, seconds in record.stages_s.items():
                total, count = self._stages_s.get(stage, (0.0, 0))
                self._stages_s[stage] = (total + seconds, count + 1)
            if record.reason:
                self._dropped[record.reason] += 1
            else:
                self._answered[record.placement] += 1
                self._payload_bytes[record.placement] += record.payload_bytes
            if record.latency_s is not None:
                self._latency_s += record.latency_s
                self._buckets[next((bound for bound in LATENCY_BOUNDS_S if record.latency_s <= bound), float("inf"))] += 1
            # An empty scene would fill the page with frames in which nothing is to be seen.
            if record.reason not in ("gate", "filter"):
                self._latest.appendleft({"name": record.name or record.sequence, "words": record.words, **record.as_json()})

    def close(self) -> None:
        """Nothing to finish."""

    def as_json(self) -> dict[str, Any]:
        """Counts, mean times by stage in milliseconds, and the newest records."""
        with self._lock:
            answers, timed = sum(self._answered.values()), sum(self._buckets.values())
            return {
                "running_s": round(time.monotonic() - self._started, 1),
                "answered": dict(self._answered),
                "dropped": dict(self._dropped),
                "payload_bytes_mean": round(sum(self._payload_bytes.values()) / answers, 1) if answers else None,
                "latency_ms_mean": round(1e3 * self._latency_s / timed, 2) if timed else None,
                "stages_ms_mean": {stage: round(1e3 * total / count, 3) for stage, (total, count) in self._stages_s.items()},
                "latest": list(self._latest),
            }

    def as_prometheus(self, gauges: Mapping[str, float | None], labels: Mapping[str, str]) -> str:
        """The text that Prometheus reads (exposition format 0.0.4).

        Args:
            gauges: further values by name, with their unit at the end; None is left out.
            labels: facts of this agent, for `isthmus_agent_info`.
        """
        with self._lock:
            lines = [
                *_family("frames_answered_total", "counter", "Frames with an answer.", _by("placement", self._answered)),
                *_family("frames_dropped_total", "counter", "Frames without an answer.", _by("reason", self._dropped)),
                *_family("payload_bytes_total", "counter", "Sent for answers.", _by("placement", self._payload_bytes)),
                *_family("latency_seconds", "histogram", "From capture to answer.", self._histogram()),
                *_family("stage_seconds", "summary", "Time of frames by stage.", self._summary()),
            ]
        lines += _family("info", "gauge", "What runs.", [(_braces(labels), 1)])
        for name, value in gauges.items():
            if value is not None:
                lines += _family(name, "gauge", "See the documentation of the agent.", [("", value)])
        return "\n".join(lines) + "\n"

    def _histogram(self) -> Iterable[tuple[str, float]]:
        total = 0
        for bound in (*LATENCY_BOUNDS_S, float("inf")):
            total += self._buckets[bound]
            yield f"_bucket{_braces({'le': f'{bound:g}'.replace('inf', '+Inf')})}", total
        yield "_sum", self._latency_s
        yield "_count", total

    def _summary(self) -> Iterable[tuple[str, float]]:
        for stage, (total, count) in self._stages_s.items():
            yield f"_sum{_braces({'stage': stage})}", total
            yield f"_count{_braces({'stage': stage})}", count


def _by(label: str, counts: Counter[str]) -> Iterable[tuple[str, float]]:
    return [(_braces({label: name}), count) for name, count in counts.items()]


def _family(name: str, kind: str, meaning: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    whole = f"isthmus_agent_{name}"
    return [
        f"# HELP {whole} {meaning}",
        f"# TYPE {whole} {kind}",
        *(f"{whole}{ending} {value:.10g}" for ending, value in samples),
    ]


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
