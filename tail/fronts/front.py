"""One of several processes that serve one port: a whole server, except for the metrics port, which the crew has."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from dataclasses import replace

import uvloop

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import IsthmusError, RemoteProtocolError
from isthmus.tail.fronts import asgi
from isthmus.tail.fronts.line import Line
from isthmus.tail.fronts.neighbours import FETCH, LOAD, UNLOAD, Elsewhere, SharedRepository, names_of
from isthmus.tail.server import Server, Source
from isthmus.tail.settings import ServerSettings

PAGE, READY, FAILED = "page", "ready", "failed"


def main(settings: ServerSettings, source: Source, end: socket.socket, set_up: Callable[[], None]) -> None:
    """Serve until SIGTERM, or until the crew is gone.

    Args:
        settings: of the whole server; the gRPC port is the one that is shared.
        source: what to serve.
        end: of the line to the crew.
        set_up: configures the logs of this process.
    """
    set_up()
    # A terminal's Ctrl-C goes to every process; the crew decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    front = _Front(replace(settings, metrics_port=None, shares_port=True), source)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(front.run(end))


class _Front:
    def __init__(self, settings: ServerSettings, source: Source) -> None:
        self._settings = settings
        self._source = source

    async def run(self, end: socket.socket) -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        async with Line(end, self._answer) as line:
            self._server = Server(self._settings, self._source, elsewhere=Elsewhere(line).fetch)
            # What is asked of this process's own repository is done by all.
            self._own, self._server.repository = self._server.repository, SharedRepository(self._server.repository, line)
            try:
                await self._server.start()
            except IsthmusError as error:
                await line.ask(FAILED, f"{type(error).__name__}\n{error}".encode())
                return
            await line.ask(READY)
            await _first(ended, line.gone)
            await self._server.stop()

    async def _answer(self, name: str, body: bytes) -> bytes:
        """What the crew asks."""
        if name == PAGE:
            return await asgi.get(self._server.pages, body.decode())
        if name == FETCH:
            request = wire.FetchFrameRequest.FromString(body)
            return (await self._server.relay.fetch_here(request)).SerializeToString()
        if name == LOAD:
            await self._own.load(*names_of(body))
            return b""
        if name == UNLOAD:
            await self._own.unload(*names_of(body))
            return b""
        raise RemoteProtocolError(f"a front process is asked {name!r}")


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
