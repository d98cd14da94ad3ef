"""The names of all figures: one table, from which both the scrape and docs/metrics.md are made.

python -m isthmus.tail.watching.families    prints the table of the page
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One name, in the base unit that it ends with."""

    name: str
    """As it is queried; a counter ends in `_total`, a histogram has `_bucket`, `_sum` and `_count` behind it."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which a query finds it."""
        return tuple(self.name + ending for ending in ("_bucket", "_sum", "_count")) if self.kind == "histogram" else (self.name,)


_OF = ("bundle", "version")
"""Which bundle: names of what is served, never of what was asked for."""

BUILD_INFO = Family(
    name="isthmus_build_info",
    kind="gauge",
    help="Always 1; the labels say what runs.",
    labels=("version", "python", "onnxruntime", "grpc"),
)
READY = Family(
    name="isthmus_ready",
    kind="gauge",
    help="1 while new streams are taken; 0 while the server drains, or lacks a bundle that it should serve.",
)
BUNDLE_INFO = Family(
    name="isthmus_bundle_info",
    kind="gauge",
    help="Always 1 for each bundle served; the first digits of its contract digest, and what computes it.",
    labels=(*_OF, "digest", "provider"),
)
INSTANCES = Family(name="isthmus_instances", kind="gauge", help="Threads that compute for the bundle.", labels=_OF)
QUEUE_LENGTH = Family(name="isthmus_queue_length", kind="gauge", help="Frames that wait for an instance.", labels=_OF)
STREAMS = Family(name="isthmus_streams", kind="gauge", help="Device streams that are open.", labels=_OF)
SESSIONS = Family(name="isthmus_sessions", kind="gauge", help="Sessions held, with and without a stream.")
SESSION_BYTES = Family(name="isthmus_session_bytes", kind="gauge", help="Decoded frames that sessions keep as references.")
OPENED = Family(
    name="isthmus_streams_opened_total",
    kind="counter",
    help="Device streams that were opened; resumed is true where a session was found again.",
    labels=(*_OF, "resumed"),
)
ENDED = Family(
    name="isthmus_streams_ended_total",
    kind="counter",
    help="Device streams that ended, those that were refused included.",
    labels=("reason",),
)
REFUSED = Family(
    name="isthmus_refused_total", kind="counter", help="Streams and requests that were turned away.", labels=("reason",)
)
DELAYED = Family(
    name="isthmus_credits_delayed_total",
    kind="counter",
    help="Credits that devices had to wait for, and calls refused, because their client is over its rate or bytes.",
)
CAPTURES = Family(name="isthmus_captures_total", kind="counter", help="Captures answered.", labels=(*_OF, "placement", "status"))
STAGE_SECONDS = Family(
    name="isthmus_stage_seconds",
    kind="histogram",
    help="Time of captures answered with ok, by stage; total is from arrival until the answer leaves.",
    labels=(*_OF, "stage"),
)
PAYLOAD_BYTES = Family(
    name="isthmus_payload_bytes", kind="histogram", help="Size of codes and pictures.", labels=(*_OF, "placement")
)
REQUESTS = Family(
    name="isthmus_requests_total",
    kind="counter",
    help="Requests of the Open Inference Protocol that were answered; without a bundle where none was found.",
    labels=(*_OF, "method", "status"),
)
REQUEST_SECONDS = Family(
    name="isthmus_request_seconds",
    kind="histogram",
    help="Time of inferences of the Open Inference Protocol that were answered with ok.",
    labels=(*_OF, "method"),
)
CONVERSATIONS = Family(
    name="isthmus_conversations", kind="gauge", help="Conversations with a language model that have a stream.", labels=_OF
)
CACHE_BYTES = Family(
    name="isthmus_cache_bytes", kind="gauge", help="Reserved for keys and values of conversations, with and without a stream."
)
CONVERSATIONS_OPENED = Family(
    name="isthmus_conversations_opened_total",
    kind="counter",
    help="Streams of conversations; resumed is true where one was found again.",
    labels=(*_OF, "resumed"),
)
STEPS = Family(
    name="isthmus_steps_total",
    kind="counter",
    help="Steps of conversations answered; a step of one row is a token, of several a prompt.",
    labels=(*_OF, "work", "status"),
)
ROWS = Family(name="isthmus_rows_total", kind="counter", help="Rows of conversations computed.", labels=(*_OF, "work"))
TOKENS = Family(name="isthmus_tokens_total", kind="counter", help="Tokens drawn here.", labels=_OF)
STEP_SECONDS = Family(
    name="isthmus_step_seconds",
    kind="histogram",
    help="Time of steps answered with ok, from arrival until the reply leaves.",
    labels=(*_OF, "work"),
)
ROUNDS = Family(
    name="isthmus_rounds_total",
    kind="counter",
    help="Runs that computed tokens; rows of work token divided by these are the conversations in one run.",
    labels=_OF,
)
HIDDEN_BYTES = Family(
    name="isthmus_hidden_bytes", kind="histogram", help="Size of payloads of hidden states that came in.", labels=_OF
)
LOADS = Family(name="isthmus_loads_total", kind="counter", help="Bundles that were loaded, or could not be.", labels=("result",))
UNLOADS = Family(name="isthmus_unloads_total", kind="counter", help="Bundles that were let go after they drained.")
UPDATES_RUNNING = Family(name="isthmus_update_transfers_running", kind="gauge", help="Bundles that are being handed out.")
UPDATE_BYTES = Family(name="isthmus_update_bytes_total", kind="counter", help="Bytes of bundles that were handed out.")
UPDATES = Family(
    name="isthmus_update_transfers_total", kind="counter", help="Bundles that devices asked for.", labels=("result",)
)

FAMILIES = (
    BUILD_INFO,
    READY,
    BUNDLE_INFO,
    INSTANCES,
    QUEUE_LENGTH,
    STREAMS,
    SESSIONS,
    SESSION_BYTES,
    OPENED,
    ENDED,
    REFUSED,
    DELAYED,
    CAPTURES,
    STAGE_SECONDS,
    PAYLOAD_BYTES,
    REQUESTS,
    REQUEST_SECONDS,
    CONVERSATIONS,
    CACHE_BYTES,
    CONVERSATIONS_OPENED,
    STEPS,
    ROWS,
    TOKENS,
    STEP_SECONDS,
    ROUNDS,
    HIDDEN_BYTES,
    LOADS,
    UNLOADS,
    UPDATES_RUNNING,
    UPDATE_BYTES,
    UPDATES,
)

PROCESS = (
    Family(name="process_resident_memory_bytes", kind="gauge", help="Resident memory of the server's process."),
    Family(name="process_virtual_memory_bytes", kind="gauge", help="Its address space."),
    Family(name="process_cpu_seconds_total", kind="counter", help="User and system time of the process."),
    Family(name="process_start_time_seconds", kind="gauge", help="When it began, in seconds since 1970."),
    Family(name="process_open_fds", kind="gauge", help="File descriptors in use: one for each connection, and a few."),
    Family(name="process_max_fds", kind="gauge", help="File descriptors that it may use."),
)
"""As every program that speaks to Prometheus names them; its own library reads them from /proc."""


def gauge(family: Family) -> GaugeMetricFamily:
    """An empty family for a scrape."""
    return GaugeMetricFamily(family.name, family.help, labels=family.labels)


def counter(family: Family) -> CounterMetricFamily:
    """An empty family for a scrape."""
    return CounterMetricFamily(family.name.removesuffix("_total"), family.help, labels=family.labels)


def histogram(family: Family) -> HistogramMetricFamily:
    """An empty family for a scrape."""
    return HistogramMetricFamily(family.name, family.help, labels=family.labels)


def table() -> Iterator[str]:
    """The lines of the table in docs/metrics.md."""
    yield "| name | kind | labels | what |"
    yield "|---|---|---|---|"
    for family in FAMILIES + PROCESS:
        labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
        yield f"| `{family.name}` | {family.kind} | {labels} | {family.help} |"


if __name__ == "__main__":
    print("\n".join(table()))
