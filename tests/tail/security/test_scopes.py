from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from isthmus.tail.security.scopes import METHODS, Scope, needed


async def test_every_method_that_a_server_has_is_in_the_table(serve, channel_to):
    call = reflection_pb2_grpc.ServerReflectionStub(channel_to(await serve())).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    services = [service.name for service in (await call.read()).list_services_response.service]
    await call.done_writing()
    pool = descriptor_pool.Default()
    methods = [f"/{name}/{method.name}" for name in services for method in pool.FindServiceByName(name).methods]
    assert "/isthmus.v1.Tail/Stream" in methods
    assert [method for method in methods if method not in METHODS] == []


def test_an_unknown_method_needs_admin():
    assert needed("/isthmus.v1.Tail/Explode") is Scope.ADMIN


def test_only_health_is_open_to_everybody():
    open_ = {method.rpartition("/")[2] for method, scope in METHODS.items() if scope is None}
    assert open_ == {"Check", "Watch", "List", "ServerLive", "ServerReady"}
