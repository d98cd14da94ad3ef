"""The edge server: a bundle or a repository of them, one gRPC port, one port for metrics and health."""

import asyncio
import signal
from collections.abc import Callable

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from isthmus.contract.bundle import Bundle
from isthmus.contract.generated import split_pb2, split_pb2_grpc
from isthmus.contract.limits import Limits
from isthmus.errors import DeviceError
from isthmus.tail.catalog import Catalog
from isthmus.tail.repository.folder import FolderRepository, RepositoryFolder
from isthmus.tail.repository.repository import Repository
from isthmus.tail.repository.single import SingleBundle
from isthmus.tail.security.access import Access
from isthmus.tail.security.doorkeeper import Doorkeeper
from isthmus.tail.served import Served
from isthmus.tail.service import TailService
from isthmus.tail.settings import ServerSettings
from isthmus.tail.streams.sessions import Sessions
from isthmus.tail.streams.stream import House
from isthmus.tail.watching.history import History
from isthmus.tail.watching.metrics import Metrics
from isthmus.tail.watching.pages import application
from isthmus.tail.watching.snapshot import Snapshot
from isthmus.tail.watching.status import StatusServer

Source = Bundle | RepositoryFolder

SERVICE_NAME = "isthmus.v1.Tail"
_OTHER_CALLS_MAX = 64
"""Calls beside the streams: health, reflection, describe."""
_REFERENCES_BYTES_MAX = 256 << 20
"""Memory for decoded frames of all sessions: no device that opens sessions takes more."""

_log = structlog.get_logger(__name__)


class Server:
    """A server; `start` and `stop` are called once each, in one event loop.

    Args:
        settings: how to run.
        source: what to serve: an opened bundle, or a folder of them.
    """

    def __init__(self, settings: ServerSettings, source: Source) -> None:
        self._settings = settings
        self._catalog = Catalog()
        self._status: StatusServer | None = None
        self._stopping = False
        self._metrics = Metrics(served=lambda: self._catalog, sessions=lambda: len(self._sessions), ready=lambda: self.ready)
        self.repository: Repository = self._make_repository(source)
        """What can be loaded and unloaded, and in what state it is."""
        self.grpc_port = 0
        """The port that is listened on, after `start`."""

    @property
    def metrics_port(self) -> int | None:
        """The port of metrics and health, None without."""
        return self._status.port if self._status else None

    async def start(self) -> None:
        """Load what there is to serve, and listen.

        Raises:
            BundleError: nothing can be served.
            ConfigError: the repository cannot be read.
            DeviceError: a port is taken, or onnxruntime does not run here.
        """
        settings = self._settings
        self._grpc, self._health = self._make_grpc()
        try:
            await self.repository.start()
            self.grpc_port = _listen(self._grpc, settings)
            await self._open()
        except BaseException:
            await self._grpc.stop(None)
            await self.repository.close()
            raise
        _log.info(
            "serving",
            bundles=[str(served) for served in self._catalog],
            grpc_port=self.grpc_port,
            metrics_port=self.metrics_port,
        )

    async def stop(self, grace_s: float | None = None) -> None:
        """Drain, then stop: health says NOT_SERVING, devices are asked to leave, captures in flight are answered.

        Args:
            grace_s: time for that, in place of the setting.
        """
        grace_s = self._settings.drain_grace_s if grace_s is None else grace_s
        self._stopping = True
        await self._health.enter_graceful_shutdown()
        await self._service.drain("the server stops", grace_s)
        await self._grpc.stop(None)
        await self.repository.close()
        if self._status is not None:
            await self._status.stop()
        _log.info("stopped")

    def _make_repository(self, source: Source) -> Repository:
        if isinstance(source, Bundle):
            return SingleBundle(source, self._catalog, self._settings, self._metrics)
        return FolderRepository(
            source, self._catalog, self._settings, self._metrics, retire=self._retire, on_change=self._tell_health
        )

    async def _retire(self, served: Served, reason: str) -> None:
        await self._service.retire(served, reason, self._settings.drain_grace_s)

    async def _open(self) -> None:
        self._sessions = self._make_sessions()
        house = House(catalog=self._catalog, sessions=self._sessions, metrics=self._metrics, limits=self._settings.limits)
        self._service = TailService(house, streams_max=self._settings.streams_max)
        split_pb2_grpc.add_TailServicer_to_server(self._service, self._grpc)
        if self._settings.metrics_port is not None:
            history = History(self._metrics, queued=lambda: sum(served.batcher.queued for served in self._catalog))
            snapshot = Snapshot(
                served=lambda: self._catalog,
                metrics=self._metrics,
                history=history,
                sessions=lambda: len(self._sessions),
                ready=lambda: self.ready,
                grpc_port=lambda: self.grpc_port,
            )
            pages = application(metrics=self._metrics.text, ready=lambda: self.ready, snapshot=snapshot.take)
            status = StatusServer(pages, history, host=self._settings.host, port=self._settings.metrics_port)
            await status.start()
            self._status = status
        await self._grpc.start()
        await self._tell_health()

    @property
    def ready(self) -> bool:
        """Whether new streams and requests are taken, and with strict readiness everything that should be served is."""
        return not self._stopping and (self.repository.ready or not self._settings.strict_readiness)

    async def _tell_health(self) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if self.ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE_NAME):
            await self._health.set(name, status)

    def _make_grpc(self) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
        settings = self._settings
        server = grpc.aio.server(
            interceptors=[Doorkeeper(Access())],
            options=_options(settings.limits),
            maximum_concurrent_rpcs=settings.streams_max + _OTHER_CALLS_MAX,
        )
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        tail_name = split_pb2.DESCRIPTOR.services_by_name["Tail"].full_name
        reflection.enable_server_reflection((tail_name, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server, servicer

    def _make_sessions(self) -> Sessions:
        settings = self._settings
        return Sessions(
            # Every open stream needs one.
            count_max=max(settings.sessions_max, settings.streams_max),
            bytes_max=_REFERENCES_BYTES_MAX,
            idle_s=settings.session_idle_s,
            references_kept=settings.limits.references_kept,
        )


def run(
    settings: ServerSettings, source: Source, *, on_ready: Callable[[int, int | None], None] = lambda _grpc, _metrics: None
) -> int:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: how to run.
        source: what to serve.
        on_ready: called with the gRPC port and the metrics port once devices can connect.

    Returns:
        The number of the signal that ended it.

    Raises:
        IsthmusError: the server cannot start.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, source, on_ready))


async def _run(settings: ServerSettings, source: Source, on_ready: Callable[[int, int | None], None]) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(number)

    for caught in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(caught, end, caught)
    server = Server(settings, source)
    await server.start()
    on_ready(server.grpc_port, server.metrics_port)
    number = await ended
    await server.stop()
    return number


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", limits.message_bytes),
        # A second server on the same port would take half of the devices, silently.
        ("grpc.so_reuseport", 0),
        # Devices ping every second while their stream is open; without this the server answers too_many_pings. (Older gRPC called
        # it min_recv_ping_interval_without_data_ms; that name is ignored in silence.)
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.keepalive_permit_without_calls", 1),
        # A server that hears nothing for a minute asks, so that half-open connections do not hold streams.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]


def _listen(server: grpc.aio.Server, settings: ServerSettings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.grpc_port}"
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise DeviceError(
            f"cannot listen on {address}: the port is taken or the address is not of this machine; name another with --grpc-port"
        ) from error
    if port == 0:
        raise DeviceError(f"cannot listen on {address}; name another port with --grpc-port")
    return int(port)
