"""The edge server: a bundle or a repository of them, one gRPC port, one port for metrics and health."""

import asyncio
from collections.abc import Callable

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from starlette.applications import Starlette

from isthmus.contract.bundle import AnyBundle, Bundle, LanguageBundle
from isthmus.contract.generated import open_inference_pb2_grpc, split_pb2_grpc
from isthmus.devices.tracing import Tracing, open_tracing
from isthmus.errors import AccessError, DeviceError
from isthmus.tail.admission.clients import Clients
from isthmus.tail.catalog import Catalog
from isthmus.tail.ending import Ending
from isthmus.tail.evidence import Elsewhere, Relay
from isthmus.tail.generate.sessions import LanguageSessions
from isthmus.tail.handout.handout import Handout
from isthmus.tail.health import Health
from isthmus.tail.inference.service import SERVICE_NAME as INFERENCE_NAME
from isthmus.tail.inference.service import InferenceService
from isthmus.tail.reading import Reader
from isthmus.tail.repository.folder import FolderRepository, RepositoryFolder
from isthmus.tail.repository.repository import Repository
from isthmus.tail.repository.single import SingleBundle
from isthmus.tail.security.security import Security
from isthmus.tail.security.transport import transport_options
from isthmus.tail.served import AnyServed
from isthmus.tail.service import TailService
from isthmus.tail.settings import ServerSettings
from isthmus.tail.streams.house import House
from isthmus.tail.streams.sessions import Sessions
from isthmus.tail.watching.history import History
from isthmus.tail.watching.metrics import Metrics, refusal
from isthmus.tail.watching.pages import READY, application
from isthmus.tail.watching.snapshot import Snapshot
from isthmus.tail.watching.status import StatusServer

Source = AnyBundle | RepositoryFolder

TAIL_NAME = "isthmus.v1.Tail"
_OTHER_CALLS_MAX = 64
"""Calls beside streams and requests: health, reflection, describe."""

_log = structlog.get_logger(__name__)


class Server:
    """A server; `start` and `stop` are called once each, in one event loop.

    Args:
        settings: how to run.
        source: what to serve: an opened bundle, or a folder of them.
        elsewhere: asks the other processes of this server for a picture; None where there are none.
    """

    def __init__(self, settings: ServerSettings, source: Source, *, elsewhere: Elsewhere | None = None) -> None:
        self._settings = settings
        self._elsewhere = elsewhere
        self._catalog = Catalog()
        self._status: StatusServer | None = None
        self._stopping = False
        self._sampling: asyncio.Task[None] | None = None
        self._tracing: Tracing | None = None
        self._clients = Clients(settings.client)
        self._metrics = Metrics(
            served=lambda: self._catalog,
            sessions=lambda: len(self._sessions),
            session_bytes=lambda: self._sessions.size_bytes,
            delayed=lambda: self._clients.delayed,
            cache_bytes=lambda: self._conversations.size_bytes,
            ready=lambda: self.ready,
        )
        self.repository: Repository = self._make_repository(source)
        """What can be loaded and unloaded, and in what state it is."""
        self.grpc_port = 0
        """The port that is listened on, after `start`."""
        self.relay: Relay
        """Fetches pictures from devices; after `start`."""
        self.pages: Starlette
        """What the metrics port shows, also where there is none; after `start`."""

    @property
    def metrics_port(self) -> int | None:
        """The port of metrics and health, None without."""
        return self._status.port if self._status else None

    async def start(self) -> None:
        """Load what there is to serve, and listen.

        Raises:
            BundleError: nothing can be served.
            ConfigError: the repository, a certificate or the token file cannot be read, or traces cannot be sent.
            DeviceError: a port is taken, or onnxruntime does not run here.
        """
        settings = self._settings
        self._security = Security.of(settings.security, self._refused)
        self._tracing = open_tracing("isthmus-tail")
        self._health = Health((TAIL_NAME, INFERENCE_NAME))
        self._grpc = self._make_grpc()
        try:
            await self.repository.start()
            self.grpc_port = _listen(self._grpc, settings, self._security)
            await self._open()
        except BaseException:
            if self._sampling is not None:
                self._sampling.cancel()
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
        await self._health.leave()
        await asyncio.gather(self._service.drain("the server stops", grace_s), self._inference.drain(grace_s))
        await self._security.close()
        await self._grpc.stop(None)
        await self.repository.close()
        if self._sampling is not None:
            self._sampling.cancel()
        if self._status is not None:
            await self._status.stop()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        _log.info("stopped")

    def _make_repository(self, source: Source) -> Repository:
        if isinstance(source, Bundle | LanguageBundle):
            return SingleBundle(source, self._catalog, self._settings, self._metrics)
        return FolderRepository(
            source, self._catalog, self._settings, self._metrics, retire=self._retire, on_change=self._tell_health
        )

    def _refused(self, error: AccessError) -> None:
        self._metrics.refused(refusal(error), str(error), what="call")

    async def _retire(self, served: AnyServed, reason: str) -> None:
        await self._service.retire(served, reason, self._settings.drain_grace_s)

    async def _open(self) -> None:
        self._sessions = self._make_sessions()
        self._conversations = LanguageSessions(
            bytes_max=self._settings.cache_bytes_max,
            client_bytes_max=self._settings.client_cache_bytes_max,
            lease_s=self._settings.lease_s,
        )
        house = House(
            catalog=self._catalog,
            sessions=self._sessions,
            metrics=self._metrics,
            limits=self._settings.limits,
            tracing=self._tracing,
        )
        self.relay = Relay(self._sessions, self._settings.limits, self._elsewhere)
        handout = Handout(self._catalog, self._settings.handout, self._metrics.updates)
        self._service = TailService(
            house, self.relay, handout, self._clients, self._conversations, streams_max=self._settings.streams_max
        )
        split_pb2_grpc.add_TailServicer_to_server(self._service, self._grpc)
        self._inference = InferenceService(
            self._catalog, self.repository, self._settings, self._metrics, self._clients, ready=lambda: self.ready
        )
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self._inference, self._grpc)
        self.pages = self._make_pages()
        if self._settings.metrics_port is not None:
            status = StatusServer(self.pages, self._security, host=self._settings.host, port=self._settings.metrics_port)
            await status.start()
            self._status = status
        await self._grpc.start()
        self._security.start()
        await self._tell_health()

    def _make_pages(self) -> Starlette:
        history = History(self._metrics, queued=lambda: sum(served.queued for served in self._catalog))
        self._sampling = asyncio.create_task(history.run())
        snapshot = Snapshot(
            served=lambda: self._catalog,
            metrics=self._metrics,
            history=history,
            sessions=lambda: len(self._sessions),
            state=lambda: self.state,
            grpc_port=lambda: self.grpc_port,
        )
        return application(metrics=self._metrics.text, state=lambda: self.state, snapshot=snapshot.take)

    @property
    def ready(self) -> bool:
        """Whether new streams and requests are taken, and with strict readiness everything that should be served is."""
        return not self._stopping and (self.repository.ready or not self._settings.strict_readiness)

    @property
    def state(self) -> str:
        """In a word or two, for people and probes."""
        return "draining" if self._stopping else READY if self.ready else "not ready"

    async def _tell_health(self) -> None:
        await self._health.tell(ready=self.ready, bundles={served.name for served in self._catalog})

    def _make_grpc(self) -> grpc.aio.Server:
        settings = self._settings
        server = grpc.aio.server(
            interceptors=[self._security.doorkeeper, Reader()],
            options=[*_options(settings), *transport_options(settings.streams_max)],
            maximum_concurrent_rpcs=settings.streams_max + settings.requests_max + _OTHER_CALLS_MAX,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        services = (TAIL_NAME, INFERENCE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(services, server)
        return server

    def _make_sessions(self) -> Sessions:
        settings = self._settings
        return Sessions(
            # Every open stream needs one.
            count_max=max(settings.sessions_max, settings.streams_max),
            bytes_max=settings.references_bytes_max,
            idle_s=settings.session_idle_s,
            references_kept=settings.limits.references_kept,
        )


def run(
    settings: ServerSettings, source: Source, *, on_ready: Callable[[int, int | None], None] = lambda _grpc, _metrics: None
) -> int:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the program at once.

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
    ending = Ending()
    server = Server(settings, source)
    await server.start()
    on_ready(server.grpc_port, server.metrics_port)
    number = await ending.wait()
    await server.stop()
    return number


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.limits.message_bytes),
        ("grpc.max_send_message_length", settings.limits.message_bytes),
        # A second server on the same port would take half of the devices, silently.
        ("grpc.so_reuseport", int(settings.shares_port)),
        # Devices ping every second while their stream is open; without this the server answers too_many_pings. (Older gRPC called
        # it min_recv_ping_interval_without_data_ms; that name is ignored in silence.)
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.keepalive_permit_without_calls", 1),
        # A server that hears nothing for a minute asks, so that half-open connections do not hold streams.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]


def _listen(server: grpc.aio.Server, settings: ServerSettings, security: Security) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.grpc_port}"
    try:
        port = security.add_port(server, address)
    except RuntimeError as error:
        raise DeviceError(
            f"cannot listen on {address}: the port is taken or the address is not of this machine; name another with --grpc-port"
        ) from error
    if port == 0:
        raise DeviceError(f"cannot listen on {address}; name another port with --grpc-port")
    return port
