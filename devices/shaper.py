"""A slow link in front of a server, made without privileges: a TCP proxy that keeps time.

    python -m isthmus.devices.shaper 127.0.0.1:8001 --link 1mbit/20ms --listen 127.0.0.1:9000

Clients connect to the shaper, the shaper connects to the target. All connections share one bottleneck in each direction
(`lane`). What holds as on a real link: a connection costs one round trip before its first byte leaves; a sender is
stopped when the bottleneck's queue is full; half-close and reset arrive in order behind the bytes before them; on a dead
link nothing arrives at all, the ends of connections included.

What does not: the rate counts TCP payload, not headers (some 4% more on a real link); there is no loss, which TCP turns
into delay anyway; `connect` itself returns at once, since the kernel accepts before the shaper can wait.

Timing: a plain asyncio loop wakes up to 1 ms late. The command and `shaper_thread` use a loop that wakes within
some 0.1 ms (`timer`). In a thread, the shaper waits for Python's interpreter lock like any other: measure with the command.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from isthmus.devices import link, timer
from isthmus.devices.lane import Lane
from isthmus.devices.link import LinkProfile
from isthmus.devices.shaped_connection import Connection
from isthmus.errors import DeviceError, IsthmusError, UsageError

ANY_LOOPBACK_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Payload bytes that arrived at the far end since the start: `up_bytes` at the target, `down_bytes` at clients."""

    up_bytes: int
    down_bytes: int


class Shaper:
    """One shaped link to one target. Every method runs in the loop that ran `start`; see `ShaperThread` for others."""

    def __init__(self, target: str, profile: LinkProfile, *, listen: str = ANY_LOOPBACK_PORT, seed: int | None = None) -> None:
        """Describe the link; nothing is opened yet.

        Args:
            target: `host:port` of the server.
            profile: what the link does.
            listen: `host:port` for clients; port 0 takes a free one.
            seed: repeats the same jitter; None for a new one each time.

        Raises:
            UsageError: an address is not `host:port`.
        """
        self._target = parse_address(target)
        self._listen = parse_address(listen)
        self._profile = profile
        self._seed = seed
        self._listener: socket.socket | None = None
        self._accepting: set[asyncio.Task[object]] = set()
        self._up: Lane
        self._down: Lane
        self._connections: set[Connection] = set()
        self._wanted_up = True
        self._outages = 0
        self._outage_timers: list[asyncio.TimerHandle] = []
        self._link_is_up = asyncio.Event()

    async def start(self) -> None:
        """Begin to accept connections, counting from 0; the profile's outages count from here.

        Raises:
            DeviceError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        clock, seed = timer.LoopClock(loop), self._seed
        self._up = Lane(clock, self._profile, seed=seed)
        self._down = Lane(clock, self._profile, seed=None if seed is None else seed + 1)
        host, port = self._listen
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family)
        except OSError as exc:
            raise DeviceError(f"cannot listen on {host}:{port}: {exc.strerror}; choose another address") from exc
        self._listener.setblocking(False)
        self.set_profile(self._profile)
        loop.add_reader(self._listener, self._accept, self._listener)

    async def stop(self) -> None:
        """Close the port, abort every connection and wait until they are gone; bytes on the way are lost."""
        self._cancel_outages()
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        asyncio.get_running_loop().remove_reader(listener)
        listener.close()
        # A connection without its socket could not be aborted.
        await asyncio.gather(*self._accepting)
        self.reset()
        while self._connections:
            await next(iter(self._connections)).wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    @property
    def address(self) -> str:
        """`host:port` that clients connect to.

        Raises:
            DeviceError: the shaper is not running.
        """
        if self._listener is None:
            raise DeviceError("the shaper is not running; start it before asking for its address")
        host, port = self._listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def profile(self) -> LinkProfile:
        """What the link does now."""
        return self._profile

    def counters(self) -> Counters:
        """Count what has passed so far, over all connections; a stopped shaper keeps its last counts."""
        return Counters(up_bytes=self._up.passed_bytes, down_bytes=self._down.passed_bytes)

    def set_profile(self, profile: LinkProfile) -> None:
        """Change the link at once, for open connections too; outages count from now."""
        self._profile = profile
        self._cancel_outages()
        self._up.set_profile(profile)
        self._down.set_profile(profile)
        loop = asyncio.get_running_loop()
        for start_s, duration_s in profile.outages:
            self._outage_timers.append(loop.call_later(start_s, self._count_outage, 1))
            self._outage_timers.append(loop.call_later(start_s + duration_s, self._count_outage, -1))
        self._apply_state()

    def set_up(self, is_up: bool) -> None:
        """Let the link die or live: while it is down, bytes are held and new connections hang, as on a dead radio."""
        self._wanted_up = is_up
        self._apply_state()

    def reset(self) -> None:
        """Break every connection now, both ends (TCP reset); bytes on the way are lost, new connections are welcome."""
        for connection in tuple(self._connections):
            connection.abort()

    def _accept(self, listener: socket.socket) -> None:
        # asyncio's own server loses a connection that was accepted in the turn of the loop in which it is closed.
        try:
            accepted, _ = listener.accept()
        except OSError:
            # The client is gone again, or no descriptor is free; the next turn tries again.
            return
        accepted.setblocking(False)
        connection = Connection(
            self._target, up=self._up, down=self._down, link_is_up=self._link_is_up, closed=self._connections.discard
        )
        self._connections.add(connection)
        loop = asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(connection.take(accepted))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    def _count_outage(self, change: int) -> None:
        self._outages += change
        self._apply_state()

    def _cancel_outages(self) -> None:
        for handle in self._outage_timers:
            handle.cancel()
        self._outage_timers.clear()
        self._outages = 0

    def _apply_state(self) -> None:
        is_up = self._wanted_up and self._outages == 0
        if is_up:
            self._link_is_up.set()
        else:
            self._link_is_up.clear()
        self._up.set_open(is_up)
        self._down.set_open(is_up)


def parse_address(text: str) -> tuple[str, int]:
    """Read `host:port`; IPv6 hosts stand in brackets.

    Raises:
        UsageError: there is no host, or no port between 0 and 65535.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise UsageError(f"address {text!r} is not host:port; write it like 127.0.0.1:8001")
    return host, int(port)


async def _serve_until_signal(shaper: Shaper) -> int:
    """Run until SIGINT or SIGTERM and return its exit code."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The shell's convention: 130 interrupted, 143 terminated.
        loop.add_signal_handler(number, _finish, ended, 128 + number)
    async with shaper:
        print(f"shaping {shaper.address} to {shaper.profile}", flush=True)
        code = await ended
        passed = shaper.counters()
        with contextlib.suppress(BrokenPipeError):
            print(f"passed up_bytes={passed.up_bytes} down_bytes={passed.down_bytes}", flush=True)
        return code


def _finish(ended: "asyncio.Future[int]", code: int) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        ended.set_result(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m isthmus.devices.shaper", description="Put a slow link in front of a TCP server."
    )
    parser.add_argument("target", metavar="TARGET", help="host:port of the server")
    parser.add_argument(
        "--link", required=True, help="rate/round trip[/jitter], as 1mbit/20ms, or trace:FILE[@offset]/round trip"
    )
    parser.add_argument("--listen", default=ANY_LOOPBACK_PORT, help="host:port for clients (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        shaper = Shaper(options.target, link.parse(options.link), listen=options.listen)
        with asyncio.Runner(loop_factory=timer.new_event_loop) as runner:
            return runner.run(_serve_until_signal(shaper))
    except IsthmusError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code


if __name__ == "__main__":
    sys.exit(main())
