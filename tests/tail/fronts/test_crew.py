"""Real processes on one port; one server serves all tests of this file that do not change it."""

import asyncio
import functools
import os
import signal
import urllib.error
import urllib.request

import grpc
import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import BundleError, DeviceError
from isthmus.tail.fronts.crew import Crew
from isthmus.tail.security.settings import SecuritySettings
from isthmus.tail.settings import ServerSettings

pytestmark = pytest.mark.timeout(120)
silent = functools.partial(int)


@pytest.fixture
async def crew(tiny_bundle):
    made = Crew(ServerSettings(grpc_port=0, metrics_port=0, instances=1), tiny_bundle, 2, silent)
    await made.start()
    yield made
    await made.stop()


async def page(crew, path):
    def get():
        with urllib.request.urlopen(f"http://127.0.0.1:{crew.metrics_port}{path}") as answer:
            return answer.read().decode()

    return await asyncio.to_thread(get)


async def spread(crew, connect, count=16):
    """Devices until every front has one: the kernel decides who gets a connection."""
    devices = []
    for number in range(count):
        devices.append(connect(crew))
        await devices[-1].open(device_id=f"camera {number}")
    held = [(await page(crew, f"/fronts/{front}/status.json")).count('"device":') for front in (0, 1)]
    assert all(held), held
    return devices


async def test_devices_are_served_by_all_fronts_and_counted_together(crew, connect, payload):
    devices = await spread(crew, connect)
    for device in devices:
        assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK
    samples = await page(crew, "/metrics")
    assert 'isthmus_captures_total{bundle="tiny",placement="split",status="ok",version="1"} 16.0' in samples
    assert "front 1" in await page(crew, "/")


async def test_both_ports_of_the_crew_ask_for_tokens(tiny_bundle, connect, tmp_path):
    (tmp_path / "tokens.jsonl").touch()
    settings = ServerSettings(
        grpc_port=0, metrics_port=0, instances=1, security=SecuritySettings(tokens=tmp_path / "tokens.jsonl")
    )
    guarded = Crew(settings, tiny_bundle, 1, silent)
    await guarded.start()
    for path in ("/", "/metrics", "/fronts/0/status.json"):
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            await page(guarded, path)
        caught.value.close()
    assert await page(guarded, "/health/live") == "live\n"
    assert await connect(guarded).end() == grpc.StatusCode.UNAUTHENTICATED
    await guarded.stop()


async def test_a_picture_is_fetched_from_whichever_front_has_the_device(crew, connect):
    devices = await spread(crew, connect)
    for number, device in enumerate(devices):
        call = devices[0].stub.FetchFrame(wire.FetchFrameRequest(device_id=f"camera {number}", sequence=7), timeout=20)
        question = (await device.receive()).fetch_evidence
        await device.send(evidence=wire.Evidence(request=question.request, message="burnt"))
        assert "holds no picture of frame 7: burnt" in await call.details()
    call = devices[0].stub.FetchFrame(wire.FetchFrameRequest(device_id="nobody"), timeout=20)
    assert "'nobody' has no such stream" in await call.details()


async def test_a_front_that_is_killed_comes_back(crew, connect, payload):
    victim = crew._members[0]
    os.kill(victim.process.pid, signal.SIGKILL)
    while crew.ready:
        await asyncio.sleep(0)
    await asyncio.wait_for(victim.ready.wait(), 60)
    device = connect(crew)
    await device.open()
    assert (await device.ask(1, codes=payload)).status == wire.STATUS_OK
    assert [fact.restarts for fact in crew._facts()] == [1, 0]


async def test_a_bundle_that_cannot_be_served_ends_the_start_with_its_reason(make_tiny_bundle):
    broken = make_tiny_bundle(golden_offset=0.05)
    with pytest.raises(BundleError, match="golden"):
        await Crew(ServerSettings(grpc_port=0, metrics_port=None, instances=1), broken, 2, silent).start()


async def test_a_port_that_is_taken_is_told_before_anything_starts(crew, tiny_bundle):
    with pytest.raises(DeviceError, match="name another port with --grpc-port"):
        await Crew(ServerSettings(grpc_port=crew.grpc_port, metrics_port=None), tiny_bundle, 2, silent).start()
