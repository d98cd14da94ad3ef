"""Watches over the front processes of one server: starts them, starts them again, asks one what another has, ends them.

Fronts share the gRPC port (SO_REUSEPORT): the kernel gives every new connection to one of them. They share nothing else. A device
that comes back may meet another front, which does not know its session, and sends a key frame; limits of a client hold for each
front on its own. The crew computes nothing and answers no device.
"""

import asyncio
import contextlib
import multiprocessing
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.context import SpawnProcess

import structlog

from isthmus import errors
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import DeviceError, FrameNotHeld, IsthmusError, RemoteProtocolError, TailUnavailable
from isthmus.tail.ending import Ending
from isthmus.tail.fronts import front, pages
from isthmus.tail.fronts.line import Line
from isthmus.tail.fronts.neighbours import FETCH, LOAD, LOAD_TIMEOUT_S, UNLOAD, not_held
from isthmus.tail.fronts.pages import Facts
from isthmus.tail.fronts.reservation import reserve
from isthmus.tail.security.security import Security
from isthmus.tail.server import Source
from isthmus.tail.settings import ServerSettings
from isthmus.tail.watching.status import StatusServer

RESTART_MIN_S, RESTART_MAX_S = 0.5, 30.0
"""A front that dies is started again at once, one that keeps dying more and more rarely."""
END_TIMEOUT_S = 5.0
"""Beyond the grace; then a front is killed."""

_log = structlog.get_logger(__name__)
_spawn = multiprocessing.get_context("spawn")


@dataclass(slots=True, eq=False)
class _Member:
    number: int
    restarts: int = -1
    process: SpawnProcess | None = None
    line: Line | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: IsthmusError | None = None


class Crew:
    """A server of several processes; `start`, `ended` and `stop` are called once each, in one event loop.

    Args:
        settings: of the server; every front runs with them.
        source: what to serve.
        count: of front processes.
        set_up: configures the logs of a new process; importable there.
    """

    def __init__(self, settings: ServerSettings, source: Source, count: int, set_up: Callable[[], None]) -> None:
        self._settings = settings
        self._source = source
        self._set_up = set_up
        self._members = [_Member(number) for number in range(count)]
        self._asked: dict[bytes, str] = {}
        """Bundles that were loaded or unloaded by request, in order, and which of the two."""
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False
        self._status: StatusServer | None = None
        self.grpc_port = 0

    @property
    def metrics_port(self) -> int | None:
        """The port of metrics and health, None without."""
        return self._status.port if self._status else None

    @property
    def ready(self) -> bool:
        """Whether every front takes streams."""
        return not self._stopping and all(member.ready.is_set() for member in self._members)

    async def start(self) -> None:
        """Start all fronts and wait until every one of them serves.

        Raises:
            IsthmusError: a front cannot start, with what it said.
        """
        self._port = reserve(self._settings.host, self._settings.grpc_port)
        self.grpc_port = self._port.getsockname()[1]
        self._settings = replace(self._settings, grpc_port=self.grpc_port)
        try:
            self._keepers = [asyncio.create_task(self._keep(member)) for member in self._members]
            for member in self._members:
                await self._wait_ready(member)
            if self._settings.metrics_port is not None:
                shown = pages.application(ask=self._page, fronts=self._facts, ready=lambda: self.ready)
                security = Security.of(self._settings.security)
                status = StatusServer(shown, security, host=self._settings.host, port=self._settings.metrics_port)
                await status.start()
                self._status = status
        except BaseException:
            await self.stop()
            raise
        _log.info("serving", fronts=len(self._members), grpc_port=self.grpc_port, metrics_port=self.metrics_port)

    async def stop(self) -> None:
        """Let every front drain and end; what is left after its grace is killed."""
        self._stopping = True
        for member in self._members:
            if member.process is not None and member.process.is_alive():
                member.process.terminate()
        _, late = await asyncio.wait(self._keepers, timeout=self._settings.drain_grace_s + END_TIMEOUT_S)
        for member in self._members:
            if late and member.process is not None and member.process.is_alive():
                _log.warning("front is killed", front=member.number)
                member.process.kill()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._status is not None:
            await self._status.stop()
        self._port.close()

    def kill(self) -> None:
        """End every front at once."""
        for member in self._members:
            if member.process is not None and member.process.is_alive():
                member.process.kill()

    async def _wait_ready(self, member: _Member) -> None:
        ready = asyncio.create_task(member.ready.wait())
        keeper = self._keepers[member.number]
        await asyncio.wait([ready, keeper], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not member.ready.is_set():
            raise member.trouble or DeviceError(f"front process {member.number} ended before it served")

    async def _keep(self, member: _Member) -> None:
        """Life of one front: start it, wait for its end, start it again."""
        delay_s = RESTART_MIN_S
        while not self._stopping:
            member.restarts += 1
            was_ready = await self._live(member)
            if self._stopping or (not was_ready and member.restarts == 0):
                return
            code = member.process.exitcode if member.process else None
            delay_s = RESTART_MIN_S if was_ready else min(RESTART_MAX_S, 2 * delay_s)
            _log.error("front ended", front=member.number, exit_code=code, restart_in_s=delay_s, reason=str(member.trouble or ""))
            await asyncio.sleep(delay_s)

    async def _live(self, member: _Member) -> bool:
        """One process from its start to its end; whether it ever served."""
        ours, theirs = socket.socketpair()
        member.ready.clear()
        member.trouble = None

        async def answer(name: str, body: bytes) -> bytes:
            return await self._answer(member, name, body)

        async with Line(ours, answer) as line:
            member.line = line
            arguments = (self._settings, self._source, theirs, self._set_up)
            member.process = _spawn.Process(target=front.main, args=arguments, name=f"isthmus-front-{member.number}")
            member.process.start()
            theirs.close()
            served = asyncio.create_task(member.ready.wait())
            await line.gone.wait()
            was_ready = served.done()
            served.cancel()
            member.ready.clear()
            await asyncio.to_thread(member.process.join)
        return was_ready

    async def _answer(self, member: _Member, name: str, body: bytes) -> bytes:
        """What a front asks."""
        if name == front.READY:
            await self._catch_up(member)
            member.ready.set()
            return b""
        if name == front.FAILED:
            kind, _, message = body.decode().partition("\n")
            member.trouble = getattr(errors, kind, IsthmusError)(message)
            return b""
        if name == FETCH:
            return await self._fetch(member, body)
        if name in (LOAD, UNLOAD):
            self._asked.pop(body, None)
            self._asked[body] = name
            await self._tell(member, name, body)
            return b""
        raise RemoteProtocolError(f"the crew is asked {name!r}")

    async def _tell(self, asker: _Member, name: str, body: bytes) -> None:
        """Let the other fronts do as the asker did. One that cannot is logged: the asker has done it already."""
        for member in self._others(asker):
            try:
                await member.line.ask(name, body, timeout_s=LOAD_TIMEOUT_S)  # type: ignore[union-attr]
            except IsthmusError as error:
                _log.error("front does not follow", front=member.number, asked=name, reason=str(error))

    async def _catch_up(self, member: _Member) -> None:
        """Let a new front do what the others were asked before."""
        for named, name in self._asked.items():
            with contextlib.suppress(IsthmusError):
                await member.line.ask(name, named, timeout_s=LOAD_TIMEOUT_S)  # type: ignore[union-attr]

    async def _fetch(self, asker: _Member, body: bytes) -> bytes:
        """The picture from whichever front has the device."""
        refusal: IsthmusError = not_held(wire.FetchFrameRequest.FromString(body))
        for member in self._others(asker):
            try:
                return await member.line.ask(FETCH, body, timeout_s=60.0)  # type: ignore[union-attr]
            except FrameNotHeld as error:
                # Several say that they do not know the device; one may say that it holds no picture, which tells more.
                refusal = error if "no such stream" not in str(error) else refusal
        raise refusal

    def _others(self, asker: _Member) -> list[_Member]:
        return [member for member in self._members if member is not asker and member.line is not None and member.ready.is_set()]

    async def _page(self, number: int, path: str) -> bytes:
        member = self._members[number]
        if member.line is None or not member.ready.is_set():
            raise TailUnavailable(f"front process {number} is not running")
        return await member.line.ask(front.PAGE, path.encode())

    def _facts(self) -> list[Facts]:
        return [
            Facts(
                number=member.number,
                pid=member.process.pid if member.process else None,
                state="ready" if member.ready.is_set() else "starting",
                restarts=max(0, member.restarts),
            )
            for member in self._members
        ]


def run(
    settings: ServerSettings,
    source: Source,
    count: int,
    *,
    set_up: Callable[[], None],
    on_ready: Callable[[int, int | None], None],
) -> int:
    """Serve from several processes until SIGTERM or SIGINT, then drain; arguments and result as of `server.run`."""
    return asyncio.run(_run(Crew(settings, source, count, set_up), on_ready))


async def _run(crew: Crew, on_ready: Callable[[int, int | None], None]) -> int:
    ending = Ending(crew.kill)
    await crew.start()
    on_ready(crew.grpc_port, crew.metrics_port)
    number = await ending.wait()
    await crew.stop()
    return number
