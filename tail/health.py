"""`grpc.health.v1`: how the server, its services and every bundle are."""

from collections.abc import Iterable

from grpc_health.v1 import health, health_pb2

_Status = health_pb2.HealthCheckResponse


class Health:
    """What health checks are told.

    Args:
        services: names of the gRPC services; the server as a whole has the empty name.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self.servicer = health.aio.HealthServicer()
        self._services = ("", *services)
        self._bundles: set[str] = set()

    async def tell(self, *, ready: bool, bundles: Iterable[str]) -> None:
        """Set every status anew.

        Args:
            ready: whether the server takes streams and requests.
            bundles: names of those that are served. One that was served and is not any more is NOT_SERVING, and one that
                never was is unknown.
        """
        served = set(bundles)
        for name in self._services:
            await self._set(name, ready)
        # A bundle that is called as a service is, has no status of its own.
        for name in (self._bundles | served).difference(self._services):
            await self._set(name, name in served)
        self._bundles |= served

    async def leave(self) -> None:
        """From now on all are NOT_SERVING."""
        await self.servicer.enter_graceful_shutdown()

    async def _set(self, name: str, serving: bool) -> None:
        await self.servicer.set(name, _Status.SERVING if serving else _Status.NOT_SERVING)
