import asyncio
import urllib.request

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import (
    BundleNotServed,
    ContractMismatch,
    DeviceError,
    LimitExceeded,
    MalformedPayload,
    PermissionDenied,
    QuotaExceeded,
    TailUnavailable,
    Unauthenticated,
)
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.watching import metrics as counting
from isthmus.tail.watching.families import FAMILIES, PROCESS
from isthmus.tail.watching.metrics import ENDINGS, REFUSALS, Metrics, refusal

TINY = {"bundle": "tiny", "version": "1"}


class Named:
    """As much of a served bundle as counting needs."""

    def __init__(self, name, version="1"):
        self.name, self.version = name, version


def read(text):
    """Samples of a scrape by name and labels."""
    families = text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


async def scrape(server):
    def get():
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as reply:
            return reply.read().decode()

    return read(await asyncio.to_thread(get))


def value(samples, name, **labels):
    return samples[name, tuple(sorted(labels.items()))]


async def test_captures_are_counted_by_bundle_placement_and_status(serve, connect, payload):
    server = await serve(metrics_port=0)
    device = connect(server)
    await device.open()
    await device.ask(1, codes=payload)
    await device.ask(2, codes=b"wrong")
    samples = await scrape(server)
    assert value(samples, "isthmus_captures_total", placement="split", status="ok", **TINY) == 1
    assert value(samples, "isthmus_captures_total", placement="split", status="invalid", **TINY) == 1
    assert value(samples, "isthmus_stage_seconds_count", stage="compute", **TINY) == 1
    assert value(samples, "isthmus_payload_bytes_count", placement="split", **TINY) == 2
    assert value(samples, "isthmus_payload_bytes_sum", placement="split", **TINY) == len(payload) + 5


async def test_streams_and_sessions_are_gauged_and_resumes_counted(serve, connect):
    server = await serve(metrics_port=0)
    first = connect(server)
    opened = await first.open()
    assert value(await scrape(server), "isthmus_streams", **TINY) == 1
    await first.close()
    await connect(server).open(session=opened.session)
    samples = await scrape(server)
    assert value(samples, "isthmus_streams", **TINY) == 1
    assert value(samples, "isthmus_sessions") == 1
    assert value(samples, "isthmus_streams_opened_total", resumed="true", **TINY) == 1
    assert value(samples, "isthmus_streams_ended_total", reason="closed") == 1


async def test_memory_of_sessions_and_credits_that_came_later_are_told(serve, connect, payload):
    server = await serve(metrics_port=0, client=ClientLimits(rate_per_s=0.001, burst=2))
    device = connect(server)
    await device.open()
    await device.ask(1, codes=payload)
    samples = await scrape(server)
    assert value(samples, "isthmus_session_bytes") == 64
    # The third of its first three, and the one that its answer would have brought.
    assert value(samples, "isthmus_credits_delayed_total") == 2


async def test_a_served_bundle_is_there_before_its_first_frame(serve, tiny_bundle):
    samples = await scrape(await serve(metrics_port=0))
    assert value(samples, "isthmus_bundle_info", digest=tiny_bundle.digest[:12], provider="cpu", **TINY) == 1
    assert value(samples, "isthmus_captures_total", placement="split", status="ok", **TINY) == 0
    assert value(samples, "isthmus_queue_length", **TINY) == 0
    assert value(samples, "isthmus_loads_total", result="ok") == 1
    assert value(samples, "isthmus_ready") == 1
    assert value(samples, "process_resident_memory_bytes") > 10e6


async def test_what_is_refused_is_counted_by_reason(serve, connect):
    server = await serve(metrics_port=0, streams_max=1)
    device = connect(server)
    await device.send(open=wire.Open(bundle="other", contract_digest=bytes(32)))
    await device.end()
    samples = await scrape(server)
    assert value(samples, "isthmus_refused_total", reason="contract") == 1
    assert value(samples, "isthmus_streams_ended_total", reason="refused") == 1


async def test_what_a_device_says_never_becomes_a_label(serve, connect):
    server = await serve(metrics_port=0)
    device = connect(server)
    await device.open(device_id='x"} 1\nisthmus_forged 1')
    other = connect(server)
    await other.send(open=wire.Open(bundle="forged", contract_digest=bytes(32)))
    await other.end()
    assert not [key for key in await scrape(server) if "forged" in str(key)]


async def test_what_is_exposed_is_the_table_of_names_and_labels(serve, connect, payload, language_bundle):
    server = await serve(metrics_port=0)
    device = connect(server)
    await device.open()
    await device.ask(1, codes=payload)
    server._metrics.requested("ModelInfer", grpc.StatusCode.OK, served=next(iter(server._catalog)), seconds=0.01)
    exposed = {}
    other = await serve(metrics_port=0, bundle=language_bundle)
    for name, labels in {**await scrape(server), **await scrape(other)}:
        exposed.setdefault(name, set()).update(label for label, _ in labels)
    exposed = {name: labels - {"le"} for name, labels in exposed.items() if not name.endswith("_created")}
    assert exposed == {name: set(family.labels) for family in FAMILIES + PROCESS for name in family.series}


def test_requests_of_the_other_protocol_are_counted_by_method_and_status():
    metrics, tiny = Metrics(served=lambda: (), sessions=lambda: 0), Named("tiny")
    metrics.requested("ModelInfer", grpc.StatusCode.OK, served=tiny, seconds=0.015)
    metrics.requested("ModelInfer", grpc.StatusCode.NOT_FOUND, seconds=9)
    metrics.requested("Forged", grpc.StatusCode.OK, served=tiny)
    samples = read(metrics.text())
    assert value(samples, "isthmus_requests_total", method="ModelInfer", status="ok", **TINY) == 1
    assert value(samples, "isthmus_requests_total", method="ModelInfer", status="not_found", bundle="", version="") == 1
    assert value(samples, "isthmus_requests_total", method="other", status="ok", **TINY) == 1
    assert value(samples, "isthmus_request_seconds_bucket", method="ModelInfer", le="0.02", **TINY) == 1
    assert not [key for key in samples if key[0] == "isthmus_request_seconds_count" and ("bundle", "") in key[1]]


def test_loads_and_unloads_are_counted():
    metrics = Metrics(served=lambda: (), sessions=lambda: 0)
    metrics.loaded(ok=True)
    metrics.loaded(ok=False)
    metrics.unloaded()
    samples = read(metrics.text())
    assert [value(samples, "isthmus_loads_total", result=result) for result in ("ok", "failed")] == [1, 1]
    assert value(samples, "isthmus_unloads_total") == 1


def test_versions_that_are_gone_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(counting, "BUNDLES_MAX", 3)
    served = [Named("kept")]
    metrics = Metrics(served=lambda: served, sessions=lambda: 0)
    kept = metrics.of(served[0])
    busy = metrics.of(Named("busy"))
    busy.open_stream(number=1, device_id="", session="", resumed=False, opened_at=0.0)
    for number in range(10):
        metrics.of(Named("passing", str(number)))
    assert len(metrics.bundles) == 3
    assert {kept, busy} < set(metrics.bundles)
    assert metrics.of(served[0]) is kept


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ContractMismatch("x"), "contract"),
        (BundleNotServed("x"), "bundle"),
        (LimitExceeded("x"), "limit"),
        (MalformedPayload("x"), "protocol"),
        (TailUnavailable("x"), "full"),
        (DeviceError("x"), "other"),
        (QuotaExceeded("x"), "rate"),
        (Unauthenticated("x"), "unauthenticated"),
        (PermissionDenied("x"), "permission"),
    ],
)
def test_an_error_is_refused_under_its_reason(error, reason):
    assert refusal(error) == reason


def test_a_reason_that_nobody_knows_makes_no_label():
    metrics = Metrics(served=lambda: (), sessions=lambda: 0)
    metrics.refused("x\nforged 1")
    samples = read(metrics.text())
    assert value(samples, "isthmus_refused_total", reason="other") == 1
    labelled = {labels[0][1] for name, labels in samples if name == "isthmus_refused_total"}
    assert labelled == set(REFUSALS)
    assert {labels[0][1] for name, labels in samples if name == "isthmus_streams_ended_total"} == set(ENDINGS)
