"""One trace from a device to its server, both as programs, told to a collector over OTLP."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from isthmus.bench import programs

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra otel: pip install 'isthmus[otel]'"
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
PICTURES = 5


class Collector:
    """Takes spans over HTTP and keeps them with the name of their service."""

    def __init__(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, trace_service.ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.spans = []
        self.paths = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, path, request):
        self.paths.add(path)
        for resource in request.resource_spans:
            service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            self.spans.extend((service, span) for scope in resource.scope_spans for span in scope.spans)

    def named(self, name):
        return [span for _, span in self.spans if span.name == name]


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture(scope="module")
def collector(make_tiny_bundle, tmp_path_factory) -> Collector:
    """What came of a run of both programs over five pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(PICTURES):
        noise = np.random.default_rng(index).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), noise)
    bundle = str(make_tiny_bundle().folder)
    with collecting() as running, programs.server(Path(bundle)) as server:
        sent = ["--source", str(folder), "--tail", server.match["grpc"], "--no-gate", "--device-id", "camera"]
        programs.run_agent([bundle, *sent], timeout_s=60)
    return running


def attributes(span):
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_each_frame_is_one_trace_through_both_programs(collector):
    frames, requests, captures = (collector.named(name) for name in ("frame", "request", "capture"))
    assert collector.paths == {"/v1/traces"}
    assert [len(frames), len(requests), len(captures)] == [PICTURES] * 3
    assert {(service, span.name) for service, span in collector.spans if span.name in ("frame", "capture")} == {
        ("isthmus-head", "frame"),
        ("isthmus-tail", "capture"),
    }
    by_id = {span.span_id: span for _, span in collector.spans}
    for capture in captures:
        request = by_id[capture.parent_span_id]
        frame = by_id[request.parent_span_id]
        assert (request.name, frame.name, frame.parent_span_id) == ("request", "frame", b"")
        assert capture.trace_id == request.trace_id == frame.trace_id
        stages = {span.name for span in by_id.values() if span.parent_span_id == capture.span_id}
        assert stages == {"decode", "queue", "compute", "post"}
        stages = {span.name for span in by_id.values() if span.parent_span_id == frame.span_id}
        assert {"prepare", "head", "encode", "request"} <= stages
        assert attributes(capture)["isthmus.sequence"] == attributes(frame)["isthmus.sequence"]


def test_spans_lie_inside_their_parents_and_say_whose_they_are(collector):
    by_id = {span.span_id: span for _, span in collector.spans}
    for _, span in collector.spans:
        parent = by_id.get(span.parent_span_id)
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        # Both programs run on one machine here; a microsecond is for the rounding of durations.
        assert parent is None or parent.start_time_unix_nano <= span.start_time_unix_nano + 1000, (span.name, parent.name)
        assert parent is None or span.end_time_unix_nano <= parent.end_time_unix_nano + 1000, (span.name, parent.name)
    told = attributes(collector.named("capture")[0])
    assert (told["isthmus.device"], told["isthmus.bundle"], told["isthmus.placement"]) == ("camera", "tiny", "split")
    assert told["isthmus.status"] == "ok"
    assert len(told["isthmus.session"]) == 8


def test_a_frame_that_is_answered_on_the_device_is_a_trace_of_its_own(tiny_bundle, pictures):
    with collecting() as collector:
        arguments = [str(tiny_bundle.folder), "--source", str(pictures), "--placement", "local", "--no-gate"]
        programs.run_agent(arguments, timeout_s=60)
    assert len(collector.named("frame")) == PICTURES
    assert {attributes(frame)["isthmus.placement"] for frame in collector.named("frame")} == {"local"}
    assert collector.named("request") == []
