import asyncio
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.errors import ConfigError, DeviceError
from isthmus.tail.model import TailModel
from isthmus.tail.server import Server
from isthmus.tail.service import TailService
from isthmus.tail.settings import ServerSettings

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel, name=""):
    return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))).status


async def fetch(server, path):
    """Status and text of a page."""

    def get():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(get)


# ---------------------------------------------------------------------------------------------------------- the service


async def test_describe_tells_the_bundle(serve, channel_to, tiny_bundle):
    stub = split_pb2_grpc.TailStub(channel_to(await serve()))
    reply = await stub.Describe(wire.DescribeRequest())
    (described,) = reply.bundles
    assert described.contract_digest.hex() == tiny_bundle.digest
    assert [(boundary.name, list(boundary.shape), boundary.bits) for boundary in described.boundary] == [("codes", [4, 4, 4], 4)]
    assert [(point.name, list(point.channels)) for point in described.points] == [("all", [4]), ("half", [2])]
    assert {wire.MODE_RAW, wire.MODE_ZSTD} <= set(described.modes)
    assert (described.takes_pictures, described.provider, reply.limits.captures_in_flight) == (True, "cpu", 3)


async def test_describing_a_bundle_that_is_not_served_is_refused(serve, channel_to):
    stub = split_pb2_grpc.TailStub(channel_to(await serve()))
    with pytest.raises(grpc.aio.AioRpcError, match="bundle 'other' is not served here; this server has 'tiny'"):
        await stub.Describe(wire.DescribeRequest(bundle="other"))


async def test_a_language_model_takes_no_frames_and_a_network_of_frames_no_conversation(
    serve, channel_to, tiny_bundle, language_bundle
):
    for bundle, method, message in (
        (language_bundle, "Stream", wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(language_bundle.digest)))),
        (tiny_bundle, "Generate", wire.Step(open=wire.GenerateOpen(contract_digest=bytes.fromhex(tiny_bundle.digest)))),
    ):
        call = getattr(split_pb2_grpc.TailStub(channel_to(await serve(bundle=bundle))), method)(iter([message]))
        assert await call.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "language model; a device opens" in await call.details()


async def test_a_language_model_is_described(serve, channel_to, language_bundle):
    stub = split_pb2_grpc.TailStub(channel_to(await serve(bundle=language_bundle)))
    [described] = (await stub.Describe(wire.DescribeRequest())).bundles
    assert (described.kind, list(described.layouts)) == ("lm", ["head-tail"])
    assert (described.width, described.positions_max, wire.MODE_HIDDEN_INT4 in described.modes) == (64, 256, True)


async def test_health_and_reflection_name_the_service(serve, channel_to):
    channel = channel_to(await serve())
    assert [await health(channel), await health(channel, "isthmus.v1.Tail")] == [SERVING, SERVING]
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = (await call.read()).list_services_response.service
    await call.done_writing()
    assert "isthmus.v1.Tail" in {service.name for service in listed}


async def test_one_stream_too_many_is_refused_with_a_hint(serve, connect):
    server = await serve(streams_max=1)
    await connect(server).open()
    refused = connect(server)
    assert await refused.end() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(await refused.call.trailing_metadata())["isthmus-retry-after-ms"] == "1000"


# ------------------------------------------------------------------------------------------------------------- stopping


async def test_stopping_answers_what_is_in_flight_and_refuses_what_is_new(serve, connect, channel_to, payload, monkeypatch):
    entered, opened, compute = threading.Event(), threading.Event(), TailModel.compute

    def wait(self, worker, works):
        entered.set()
        assert opened.wait(30)
        return compute(self, worker, works)

    monkeypatch.setattr(TailModel, "compute", wait)
    server = await serve(metrics_port=0)
    device, channel = connect(server), channel_to(server)
    await device.open()
    await device.capture(1, codes=payload)
    await asyncio.to_thread(entered.wait, 30)
    stopping = asyncio.create_task(server.stop(20))
    drain = (await device.receive()).drain
    assert (drain.reason, drain.grace_ms) == ("the server stops", 20_000)
    assert await health(channel) == NOT_SERVING
    assert await fetch(server, "/health/ready") == (503, "draining\n")
    assert await connect(server).end() == grpc.StatusCode.UNAVAILABLE
    opened.set()
    assert (await device.answer()).status == wire.STATUS_OK
    assert await device.end() == grpc.StatusCode.OK
    await stopping


async def test_health_says_not_serving_before_devices_are_asked_to_leave(serve, channel_to, monkeypatch):
    server, told, drain = await serve(), [], TailService.drain
    channel = channel_to(server)

    async def ask(self, *arguments):
        told.extend([await health(channel), await health(channel, "isthmus.v1.Tail")])
        await drain(self, *arguments)

    monkeypatch.setattr(TailService, "drain", ask)
    await server.stop(0)
    assert told == [NOT_SERVING, NOT_SERVING]


async def test_a_stopped_server_has_given_its_ports_back(tiny_bundle):
    server = Server(ServerSettings(grpc_port=0, metrics_port=0, instances=1), tiny_bundle)
    await server.start()
    await server.stop(0)
    for port in (server.grpc_port, server.metrics_port):
        socket.create_server(("127.0.0.1", port)).close()


RUN = """
import sys
from isthmus.contract.bundle import open_bundle
from isthmus.tail.server import run
from isthmus.tail.settings import ServerSettings
ready = lambda grpc_port, metrics_port: print("ready on", grpc_port, metrics_port, flush=True)
ended = run(ServerSettings(grpc_port=0, metrics_port=0, instances=1), open_bundle(sys.argv[1]), on_ready=ready)
print("ended by", ended, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_and_is_returned(tiny_bundle, number):
    command = [sys.executable, "-W", "error", "-c", RUN, str(tiny_bundle.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        # The log goes to the same stream.
        assert any(line.startswith("ready on") for line in program.stdout), program.stderr.read()
        program.send_signal(number)
        out, err = program.communicate(timeout=60)
    assert out.rstrip().endswith(f"ended by {int(number)}")
    assert (program.returncode, err) == (0, "")


async def test_serving_pages_leaves_the_signals_alone(serve):
    before = signal.getsignal(signal.SIGTERM)
    await serve(metrics_port=0)
    assert signal.getsignal(signal.SIGTERM) is before


# ------------------------------------------------------------------------------------------------------- rude neighbours


@pytest.mark.parametrize("garbage", [bytes(1000), b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500])
async def test_garbage_on_the_port_leaves_others_served(serve, connect, payload, garbage):
    server = await serve()
    device = connect(server)
    await device.open()
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10) as raw:
        raw.sendall(garbage)
        assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK
    assert (await device.ask(2, codes=payload)).status == wire.STATUS_OK


async def test_bytes_that_are_no_protobuf_end_their_stream_only(serve, connect, channel_to, payload):
    server = await serve()
    device = connect(server)
    await device.open()
    call = channel_to(server).stream_stream("/isthmus.v1.Tail/Stream")()
    await call.write(b"\x0a\xff\xff\xff\xff\x0fnothing")
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK


# ------------------------------------------------------------------------------------------------------------- settings


async def test_a_busy_grpc_port_is_told(serve, tiny_bundle, capfd):
    port = (await serve()).grpc_port
    with pytest.raises(DeviceError, match=f"cannot listen on 127.0.0.1:{port}: the port is taken.*--grpc-port"):
        await Server(ServerSettings(grpc_port=port, metrics_port=None, instances=1), tiny_bundle).start()


async def test_a_busy_metrics_port_is_told_and_leaves_nothing_running(serve, tiny_bundle):
    port = (await serve(metrics_port=0)).metrics_port
    with pytest.raises(DeviceError, match=f"cannot listen for metrics on 127.0.0.1:{port}: Address already in use"):
        await Server(ServerSettings(grpc_port=0, metrics_port=port, instances=1), tiny_bundle).start()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("isthmus")] == ["isthmus-worker-0"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "192.0.2.1"])
def test_listening_beyond_loopback_must_be_asked_for(tiny_bundle, host):
    with pytest.raises(ConfigError, match="--insecure"):
        Server(ServerSettings(host=host), tiny_bundle)
    Server(ServerSettings(host=host, insecure=True), tiny_bundle)


@pytest.mark.parametrize("name", ["instances", "threads", "queue_max", "batch_max", "streams_max", "sessions_max"])
def test_a_setting_below_one_is_refused(tiny_bundle, name):
    with pytest.raises(ConfigError, match=f"{name} is 0"):
        Server(ServerSettings(**{name: 0}), tiny_bundle)
