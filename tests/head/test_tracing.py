import http.server
import threading
import time

import numpy as np
import pytest

from isthmus.devices.tracing import open_tracing
from isthmus.head.frame import Frame
from isthmus.head.record import Record
from isthmus.head.tracing import OPEN_MAX

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel: pip install 'isthmus[otel]'")


class _Taker(http.server.BaseHTTPRequestHandler):
    """A collector that takes everything and looks at nothing."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def collector():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Taker) as taker:
        threading.Thread(target=taker.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{taker.server_port}"
        taker.shutdown()


@pytest.fixture
def traces(monkeypatch, collector):
    """A function that gives the traces of a run that records a share of its frames."""
    from isthmus.head.tracing import FrameTraces

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    opened = []

    def make(share):
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", str(share))
        opened.append(FrameTraces(open_tracing("x")))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def frame(sequence):
    return Frame(sequence=sequence, image=np.zeros((1, 1, 3), np.uint8), captured_s=time.monotonic())


def test_a_recorded_frame_gets_a_context_of_its_own(traces):
    run = traces(1)
    sent = [run.begin(frame(sequence)) for sequence in range(3)]
    assert len({text.split("-")[1] for text in sent}) == 3
    assert all(int(text[-2:], 16) & 1 for text in sent)


def test_the_share_that_is_recorded_is_a_setting_and_the_rest_carries_nothing(traces):
    assert {traces(0).begin(frame(sequence)) for sequence in range(20)} == {""}


def test_nothing_is_kept_of_a_frame_that_has_its_record(traces):
    run = traces(1)
    run.begin(frame(1))
    run.write(Record(device="camera", session="ab" * 16, sequence=1, name="", placement="drop", reason="link"))
    run.write(Record(device="camera", session="ab" * 16, sequence=2, name="", placement="drop", reason="gate"))
    assert run._open == {}


def test_what_waited_on_the_disk_ends_no_trace_of_this_run(traces):
    run = traces(1)
    run.begin(frame(1))
    run.write(Record(device="camera", session="cd" * 16, sequence=1, name="", placement="split", queued=True))
    assert run._open.keys() == {1}


def test_of_frames_that_never_get_a_record_only_so_many_are_kept(traces):
    run = traces(1)
    for sequence in range(OPEN_MAX + 3):
        run.begin(frame(sequence))
    assert list(run._open) == list(range(3, OPEN_MAX + 3))
