import subprocess
import sys

import pytest

from isthmus.devices import tracing
from isthmus.devices.tracing import is_configured, open_tracing
from isthmus.errors import ConfigError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
IMPORTS = """
import sys
import isthmus.tail.server, isthmus.head.agent, isthmus.cli.main
from isthmus.devices.tracing import open_tracing
assert open_tracing("x") is None
print(sorted(name for name in sys.modules if name.startswith(("opentelemetry", "requests"))))
"""


@pytest.mark.parametrize(
    ("environment", "configured"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_an_endpoint_turns_traces_on(environment, configured):
    assert is_configured(environment) is configured


def test_without_an_endpoint_nothing_is_imported(monkeypatch):
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    ran = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ConfigError, match=r"pip install 'isthmus\[otel\]'"):
        open_tracing("x")


class TestWithThePackage:
    @pytest.fixture(autouse=True)
    def endpoint(self, monkeypatch):
        pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel: pip install 'isthmus[otel]'")
        monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")

    @pytest.fixture
    def tracing(self, monkeypatch):
        monkeypatch.setattr(tracing, "FLUSH_S", 0.0)
        opened = open_tracing("x")
        yield opened
        opened.close()

    def test_a_protocol_that_we_do_not_speak_is_refused(self, monkeypatch):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
        with pytest.raises(ConfigError, match="'http/json'; set http/protobuf or grpc"):
            open_tracing("x")

    def test_what_is_sent_is_what_is_read(self, tracing):
        from opentelemetry import trace

        span = tracing.begin("frame", start_ns=0)
        sent = tracing.inject(span)
        read = trace.get_current_span(tracing.extract(sent)).get_span_context()
        assert len(sent) == 55
        assert (read.trace_id, read.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)

    @pytest.mark.parametrize(
        "traceparent",
        [
            "",
            "nonsense",
            "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
            "00-" + "1" * 32 + "-" + "1" * 16 + "-00",
            "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
            "00-" + "x" * 32 + "-" + "1" * 16 + "-01",
            "00-" + "1" * 32 + "-" + "1" * 16 + "-01" + "1" * 100_000,
        ],
    )
    def test_what_is_no_context_or_not_recorded_is_none(self, tracing, traceparent):
        assert tracing.extract(traceparent) is None

    def test_a_collector_that_is_away_keeps_no_program_from_ending(self, tracing):
        tracing.begin("frame", start_ns=0).end()
        tracing.close()
