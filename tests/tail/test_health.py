import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from isthmus.tail.health import Health

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def check(channel_to):
    """A function that asks a server for the health of a name."""

    async def ask(server, name):
        stub = health_pb2_grpc.HealthStub(channel_to(server))
        return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status

    return ask


@pytest.mark.parametrize("name", ["", "isthmus.v1.Tail", "inference.GRPCInferenceService", "tiny"])
async def test_the_server_its_services_and_its_bundle_are_serving(serve, check, name):
    assert await check(await serve(), name) == SERVING


async def test_a_name_that_was_never_served_is_not_found(serve, check):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(await serve(), "other")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def statuses(health):
    return dict(health.servicer._server_status)


async def test_a_bundle_that_is_served_no_longer_is_not_serving():
    health = Health(["a.Service"])
    await health.tell(ready=True, bundles=["cups", "plates"])
    await health.tell(ready=True, bundles=["plates"])
    assert statuses(health) == {"": SERVING, "a.Service": SERVING, "cups": NOT_SERVING, "plates": SERVING}


async def test_a_server_that_is_not_ready_has_bundles_that_are():
    health = Health(["a.Service"])
    await health.tell(ready=False, bundles=["plates"])
    assert statuses(health) == {"": NOT_SERVING, "a.Service": NOT_SERVING, "plates": SERVING}


async def test_a_bundle_that_is_called_as_a_service_does_not_speak_for_it():
    health = Health(["a.Service"])
    await health.tell(ready=True, bundles=["a.Service"])
    await health.tell(ready=True, bundles=[])
    assert statuses(health)["a.Service"] == SERVING


async def test_who_leaves_is_not_serving_and_stays_so():
    health = Health(["a.Service"])
    await health.tell(ready=True, bundles=["cups"])
    await health.leave()
    await health.tell(ready=True, bundles=["cups"])
    assert set(statuses(health).values()) == {NOT_SERVING}


async def test_reflection_lists_every_service(serve, channel_to):
    call = reflection_pb2_grpc.ServerReflectionStub(channel_to(await serve())).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    found = {service.name for service in (await call.read()).list_services_response.service}
    await call.done_writing()
    own = {"isthmus.v1.Tail", "inference.GRPCInferenceService"}
    assert found == own | {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
