"""The page, the health and the figures of a server, over HTTP on the metrics port."""

import asyncio
import contextlib
import html
import socket
from collections.abc import Callable, Iterator, Mapping

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from isthmus.errors import DeviceError

START_TIMEOUT_S = 10.0
"""The socket is bound already; starting takes milliseconds."""


def application(
    *, metrics: Callable[[], bytes], ready: Callable[[], bool], facts: Callable[[], Mapping[str, object]]
) -> Starlette:
    """The pages.

    Args:
        metrics: gives the figures in Prometheus' text format.
        ready: tells whether new streams are taken.
        facts: gives what the page shows, name to value.
    """

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def show_live(_request: Request) -> Response:
        return PlainTextResponse("live\n")

    async def show_ready(_request: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("draining\n", status_code=503)

    async def show_page(_request: Request) -> Response:
        return HTMLResponse(_page({"state": "ready" if ready() else "draining", **facts()}))

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/metrics", show_metrics),
            Route("/health/live", show_live),
            Route("/health/ready", show_ready),
        ]
    )


def _page(facts: Mapping[str, object]) -> str:
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in facts.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Isthmus tail</title>'
        "<style>body{font:16px system-ui;margin:2rem}th{text-align:left;padding-right:2rem}</style></head>"
        f'<body><h1>Isthmus tail</h1><table>{rows}</table><p><a href="/metrics">metrics</a></p></body></html>'
    )


class _Quiet(uvicorn.Server):
    """Uvicorn without signal handlers: signals belong to the server as a whole."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class StatusServer:
    """Serves an application in the running event loop."""

    def __init__(self, pages: Starlette, *, host: str, port: int) -> None:
        self._pages = pages
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
            self._pages, lifespan="off", ws="none", http="h11", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._server = _Quiet(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        async with asyncio.timeout(START_TIMEOUT_S):
            while not self._server.started and not self._serving.done():
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop listening and end what is open."""
        self._server.should_exit = True
        await self._serving
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
