"""HTTP in the event loop of the server, on the metrics port."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from isthmus.errors import DeviceError
from isthmus.tail.watching.history import History

START_TIMEOUT_S = 10.0
"""The socket is bound already; starting takes milliseconds."""
CONNECTIONS_MAX = 128
"""Scrapers, probes and a few people; more get 503."""


class _Quiet(uvicorn.Server):
    """Uvicorn without signal handlers: signals belong to the server as a whole."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class StatusServer:
    """Serves the pages in the running event loop, and keeps the history that they show.

    Args:
        pages: what is served.
        history: sampled while the server runs.
        host: address to listen on.
        port: 0 takes a free one.
    """

    def __init__(self, pages: Starlette, history: History, *, host: str, port: int) -> None:
        self._pages = pages
        self._history = history
        self._host = host
        self._wanted_port = port
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            DeviceError: the port is taken or the address is not of this machine.
        """
        self._socket = _bind(self._host, self._wanted_port)
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._pages,
            lifespan="off",
            ws="none",
            http="h11",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            limit_concurrency=CONNECTIONS_MAX,
        )
        self._server = _Quiet(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        self._sampling = asyncio.create_task(self._history.run())
        async with asyncio.timeout(START_TIMEOUT_S):
            while not self._server.started and not self._serving.done():
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop listening and end what is open."""
        self._server.should_exit = True
        await self._serving
        self._sampling.cancel()
        self._socket.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise DeviceError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        # Linux: a port in TIME_WAIT may be taken again, one that listens may not.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise DeviceError(
            f"cannot listen for metrics on {host}:{port}: {error.strerror}; name another port with --metrics-port"
        ) from error
    return bound
