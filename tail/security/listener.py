"""Listens for HTTP on one socket: a bounded number of connections, of which none dawdles, over TLS where the server has it.

uvicorn parses and answers. Its own server bounds neither connections nor the time that a TLS handshake takes, and cannot take new
certificates; so connections are taken here and handed to its protocol.
"""

import asyncio
import contextlib
import socket

import structlog
import uvicorn
from uvicorn.server import ServerState

from isthmus.tail.security.certificates import Certificates
from isthmus.tail.security.connection import Connection
from isthmus.tail.security.porter import Application

CONNECTIONS_MAX = 128
"""At a time, those in a handshake too: scrapers, probes and a few people need a dozen."""
HANDSHAKE_TIMEOUT_S = 10.0
"""As on the gRPC port: several round trips of a bad link."""
FINISH_S = 1.0
"""What is being answered when the listener stops may take so long."""
_BACKLOG = 64
_BREATH_S = 0.1
"""Before connections are taken again when the process has no file descriptors left."""

_log = structlog.get_logger(__name__)


class Listener:
    """Serves an ASGI application in the running event loop.

    Args:
        pages: the application.
        bound: a socket that is bound and does not listen yet; it is closed at the end.
        certificates: of the server, None for plain HTTP.
    """

    def __init__(self, pages: Application, bound: socket.socket, certificates: Certificates | None) -> None:
        self._socket = bound
        self._certificates = certificates
        self._config = uvicorn.Config(pages, lifespan="off", ws="none", http="h11", log_config=None, access_log=False)
        self._state = ServerState()
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen."""
        self._config.load()
        self._socket.setblocking(False)
        self._socket.listen(_BACKLOG)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Listen no more, finish what is being answered, close what is open."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        self._socket.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._connections:
            await asyncio.wait(self._connections, timeout=FINISH_S)
        for task in (*self._connections, *self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._connections, *self._state.tasks, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, _address = await loop.sock_accept(self._socket)
            except OSError as error:
                _log.error("no connection can be taken", reason=error.strerror)
                await asyncio.sleep(_BREATH_S)
                continue
            if len(self._connections) >= CONNECTIONS_MAX:
                taken.close()
                continue
            task = asyncio.create_task(self._serve(taken))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, taken: socket.socket) -> None:
        """Shake hands and stay until the connection ends."""
        loop = asyncio.get_running_loop()
        connection = Connection(config=self._config, server_state=self._state, app_state={}, _loop=loop)
        secured = self._certificates is not None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: connection,
                taken,
                ssl=self._certificates.current().context if self._certificates else None,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if secured else None,
            )
        except (OSError, TimeoutError):
            # Among OSError is every complaint of TLS; whoever speaks none is no news.
            taken.close()
            return
        try:
            await connection.ended.wait()
        finally:
            with contextlib.suppress(RuntimeError):
                transport.abort()
