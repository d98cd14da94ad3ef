"""Spans for an OpenTelemetry collector, where the environment names one; otherwise nothing is imported and nothing is made.

All settings are OpenTelemetry's own environment variables: endpoint, headers and protocol of the exporter, the sampler and its
ratio, the name of the service. Spans are made after the fact, with times that were measured anyway, so that a frame that is
not traced costs one comparison.
"""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
FLUSH_S = 3.0
"""At the end, for spans that were not sent yet. A collector that is away must not keep a program from ending."""
TRACEPARENT_CHARACTERS = 55
"""Of version 00, https://www.w3.org/TR/trace-context/#traceparent-header; nothing longer is looked at."""

Attributes = Mapping[str, str | int | float | bool]


def is_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a collector and does not turn traces off."""
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(environment.get(name) for name in ENDPOINTS)


def open_tracing(service: str) -> "Tracing | None":
    """Spans of this program, None where the environment asks for none.

    Args:
        service: its name, unless OTEL_SERVICE_NAME has another.

    Raises:
        ConfigError: OpenTelemetry's packages are missing, or the protocol is one that we do not speak.
    """
    return Tracing(service) if is_configured() else None


class Tracing:
    """Makes spans and sends them in the background; safe for any number of threads.

    Args:
        service: name of the program.

    Raises:
        ConfigError: see `open_tracing`.
    """

    def __init__(self, service: str) -> None:
        try:
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            exporter = _exporter()
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{' or '.join(ENDPOINTS)} is set and {error.name} is missing: pip install 'isthmus[otel]'"
            ) from error
        resource = Resource({"service.name": service}).merge(OTELResourceDetector().detect())
        # Its own handler at exit would wait for a dead collector for half a minute.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("isthmus")
        self._propagator = TraceContextTextMapPropagator()

    def begin(
        self,
        name: str,
        *,
        start_ns: int,
        parent: "Context | None" = None,
        kind: str = "INTERNAL",
        attributes: Attributes | None = None,
    ) -> "Span":
        """Begin a span.

        Args:
            name: from the code.
            start_ns: since 1970.
            parent: from `context_of` or `extract`; None begins a trace, if the sampler wants one.
            kind: a name of OpenTelemetry's `SpanKind`.
            attributes: what is known of it.
        """
        from opentelemetry.trace import SpanKind

        return self._tracer.start_span(
            name, context=parent, kind=SpanKind[kind], start_time=start_ns, attributes=dict(attributes or {})
        )

    def lay_out(self, stages_s: Mapping[str, float], *, start_ns: int, parent: "Context") -> int:
        """One span for each stage, one after the other from `start_ns`; gives the end of the last one."""
        for name, spent_s in stages_s.items():
            end_ns = start_ns + round(spent_s * 1e9)
            if spent_s > 0:
                self.begin(name, start_ns=start_ns, parent=parent).end(end_time=end_ns)
            start_ns = end_ns
        return start_ns

    def inject(self, span: "Span") -> str:
        """The trace context of a span, as it goes over the wire."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context_of(span))
        return carrier["traceparent"]

    def extract(self, traceparent: str) -> "Context | None":
        """The context that a peer sent; None if it is none, or of a trace that is not recorded."""
        from opentelemetry import trace

        if len(traceparent) != TRACEPARENT_CHARACTERS:
            return None
        context = self._propagator.extract({"traceparent": traceparent})
        return context if trace.get_current_span(context).get_span_context().trace_flags.sampled else None

    def close(self) -> None:
        """Send what is left, for `FLUSH_S` at most."""

        def shut_down() -> None:
            with contextlib.suppress(Exception):
                self._provider.shutdown()

        last = threading.Thread(target=shut_down, name="isthmus-last-spans", daemon=True)
        last.start()
        last.join(FLUSH_S)


def context_of(span: "Span") -> "Context":
    """A context in which the span is the parent."""
    from opentelemetry import trace

    return trace.set_span_in_context(span)


def fail(span: "Span", reason: str) -> None:
    """Mark a span as failed."""
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, reason))


def since_epoch_ns(ago_s: float = 0.0) -> int:
    """The time of so many seconds ago; durations are of monotonic clocks, spans are of this one."""
    return time.time_ns() - round(ago_s * 1e9)


def _exporter() -> Any:  # noqa: ANN401 - of either package
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), "http/protobuf")
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if protocol == "grpc":
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
        except ModuleNotFoundError as error:
            message = f"{PROTOCOLS[1]} is grpc and {error.name} is missing: pip install opentelemetry-exporter-otlp-proto-grpc"
            raise ConfigError(message) from error
        return OverGrpc()
    raise ConfigError(f"{PROTOCOLS[1]} is {protocol!r}; set http/protobuf or grpc")
