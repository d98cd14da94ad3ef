"""The server's part of a trace: one span for each capture whose device records it, and one for each stage below it.

The device decides what is recorded; a server adds nothing of its own. A collector that is slow or away costs spans, never frames:
they wait in a bounded queue that drops what does not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices.tracing import Tracing, context_of, fail, since_epoch_ns
from isthmus.tail.watching.figures import STAGES, STATUSES, StreamFigures

if TYPE_CHECKING:
    from opentelemetry.context import Context

DEVICE_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureTrace:
    """A capture that is recorded, until it is answered."""

    tracing: Tracing
    parent: "Context"
    stream: StreamFigures
    sequence: int
    placement: str
    payload_bytes: int

    def answered(self, status: int, seconds: Sequence[float]) -> None:
        """Make the spans; `seconds` are those of `figures.STAGES`, in order."""
        stages = dict(zip(STAGES, seconds, strict=True))
        total_s = stages.pop("total")
        start_ns = since_epoch_ns(total_s)
        span = self.tracing.begin("capture", start_ns=start_ns, parent=self.parent, kind="SERVER", attributes=self._attributes())
        # Codes are decoded as they arrive, a picture by the thread that computes it.
        order = ("decode", "queue", "compute", "post") if self.placement == "split" else ("queue", "decode", "compute", "post")
        self.tracing.lay_out({stage: stages[stage] for stage in order}, start_ns=start_ns, parent=context_of(span))
        span.set_attribute("isthmus.status", STATUSES[status])
        if status != wire.STATUS_OK:
            fail(span, STATUSES[status])
        span.end(end_time=start_ns + round(total_s * 1e9))

    def _attributes(self) -> dict[str, str | int]:
        stream = self.stream
        return {
            "rpc.system": "grpc",
            "rpc.service": "isthmus.v1.Tail",
            "rpc.method": "Stream",
            "isthmus.bundle": stream.bundle.name,
            "isthmus.version": stream.bundle.version,
            "isthmus.device": stream.device_id[:DEVICE_MAX],
            "isthmus.session": stream.session,
            "isthmus.stream": stream.number,
            "isthmus.sequence": self.sequence,
            "isthmus.placement": self.placement,
            "isthmus.payload_bytes": self.payload_bytes,
        }


def trace_of(
    tracing: Tracing, capture: wire.Capture, stream: StreamFigures, placement: str, payload_bytes: int
) -> CaptureTrace | None:
    """The trace of a capture, None unless the device records it."""
    parent = tracing.extract(capture.traceparent) if capture.traceparent else None
    if parent is None:
        return None
    return CaptureTrace(
        tracing=tracing,
        parent=parent,
        stream=stream,
        sequence=capture.sequence,
        placement=placement,
        payload_bytes=payload_bytes,
    )
