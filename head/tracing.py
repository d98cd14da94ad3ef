"""One trace for every frame that is computed here or sent: device stages, the request, and below it what the server adds.

It is a sink: a record ends the trace of its frame. Frames that the gate drops, or that a newer one displaced, make none.
"""

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.devices.tracing import Tracing, context_of, fail, since_epoch_ns
from isthmus.head.frame import Frame
from isthmus.head.record import Record

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_OF_THE_REQUEST = ("network", "server ")
"""Beginnings of the stages that lie inside the request; the server's own spans tell more."""


@dataclass(frozen=True, slots=True)
class _Open:
    frame: "Span"
    request: "Span"
    start_ns: int


OPEN_MAX = 64
"""Traces of frames without a record so far; a frame that must be delivered may have none for hours."""


class FrameTraces:
    """Traces of one run.

    Args:
        tracing: makes and sends the spans.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._lock = threading.Lock()
        self._open: dict[int, _Open] = {}

    def begin(self, frame: Frame) -> str:
        """A frame is about to be sent.

        Returns:
            What the capture carries, empty if the sampler does not want this frame.
        """
        start_ns = since_epoch_ns(time.monotonic() - frame.captured_s)
        span = self._tracing.begin("frame", start_ns=start_ns)
        if not span.is_recording():
            return ""
        request = self._tracing.begin(
            "request",
            start_ns=since_epoch_ns(),
            parent=context_of(span),
            kind="CLIENT",
            attributes={"rpc.system": "grpc", "rpc.service": "isthmus.v1.Tail", "rpc.method": "Stream"},
        )
        with self._lock:
            self._open[frame.sequence] = _Open(span, request, start_ns)
            forgotten = self._open.pop(next(iter(self._open))) if len(self._open) > OPEN_MAX else None
        if forgotten is not None:
            forgotten.request.end()
            forgotten.frame.end()
        return self._tracing.inject(request)

    def write(self, record: Record) -> None:
        """End the trace of a frame, or tell one that was answered here.

        What waited on the disk has none: its sequence number may be of an earlier run.
        """
        if record.queued:
            return
        with self._lock:
            opened = self._open.pop(record.sequence, None)
        if opened is not None:
            opened.request.end()
            self._end(opened.frame, opened.start_ns, record)
        elif record.placement == "local" and record.latency_s is not None:
            start_ns = since_epoch_ns(record.latency_s)
            span = self._tracing.begin("frame", start_ns=start_ns)
            if span.is_recording():
                self._end(span, start_ns, record)

    def close(self) -> None:
        """Send what is left."""
        self._tracing.close()

    def _end(self, span: "Span", start_ns: int, record: Record) -> None:
        own = {stage: spent_s for stage, spent_s in record.stages_s.items() if not stage.startswith(_OF_THE_REQUEST)}
        self._tracing.lay_out(own, start_ns=start_ns, parent=context_of(span))
        span.set_attributes(
            {
                "isthmus.device": record.device,
                # The whole id would let whoever reads traces take the session over.
                "isthmus.session": record.session[:8],
                "isthmus.sequence": record.sequence,
                "isthmus.placement": record.placement,
                "isthmus.setting": record.setting,
                "isthmus.payload_bytes": record.payload_bytes,
            }
        )
        if record.fallback:
            span.set_attribute("isthmus.fallback", record.fallback)
        if record.reason:
            span.set_attribute("isthmus.reason", record.reason)
            fail(span, record.detail or record.reason)
        span.end()
