"""One TCP connection through the shaper: two sockets, and a delay line each way."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from isthmus.devices.lane import DelayLine, Ending, Lane

# At most this much is taken from a socket at once, so that a fast sender overshoots the queue's limit by no more.
READ_BYTES = 16 * 1024
# The kernel's own buffers would hide megabytes from back-pressure; this is two loopback packets, so windows still open.
KERNEL_BUFFER_BYTES = 128 * 1024
# A writer that holds more than this has a slow reader.
WRITE_BUFFER_BYTES = 64 * 1024


class ConnectionEnd(asyncio.BufferedProtocol):
    """One of the two sockets: what it reads goes over `line`, which delivers to the other end."""

    def __init__(self, lane: Lane, *, made: Callable[[], None] | None = None, lost: Callable[[], None]) -> None:
        self.line = DelayLine(lane, self._deliver)
        self.other: ConnectionEnd
        self.is_lost = False
        self.has_finished = False
        self._transport: asyncio.Transport | None = None
        self._made = made
        self._lost = lost
        self._is_reading = False
        # What comes before `start`: uvloop begins to read after `connection_made`, though that has paused it.
        self._early: list[bytes | Ending] | None = []
        self._buffer = memoryview(bytearray(READ_BYTES))

    def start(self) -> None:
        """Read from now on."""
        early, self._early = self._early or [], None
        self._is_reading = not self.is_lost and Ending.FINISHED not in early
        for item in early:
            self.line.put(item)
        self.regulate()

    def abort(self) -> None:
        """Reset the connection (RST, not FIN)."""
        if self._transport is None or self._transport.is_closing():
            return
        # Linger of zero seconds: tcp(7) sends RST on close.
        _socket(self._transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Close once everything is written."""
        if self._transport is not None:
            self._transport.close()

    def regulate(self) -> None:
        """Read while there is room on the way to the other end, else let TCP stop the sender."""
        if not self._is_reading or self._transport is None or self._transport.is_closing():
            return
        if self.line.held_bytes + self.other.unwritten_bytes > self.line.limit_bytes:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    @property
    def is_connected(self) -> bool:
        """Whether there is a socket, or was one."""
        return self._transport is not None

    @property
    def unwritten_bytes(self) -> int:
        """Bytes delivered to this end that its socket has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, reading nothing yet."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        own = _socket(self._transport)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER_BYTES)
        # The lane has cut the bytes into segments; Nagle's algorithm would hold the last for a delayed acknowledgement, 40 ms.
        # asyncio turns it off only for sockets that say they are TCP, which accepted ones do not.
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._made is not None:
            self._made()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give room for one read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Send what was read."""
        self._pass_on(bytes(self._buffer[:nbytes]))
        self.regulate()

    def eof_received(self) -> bool:
        """Pass the half-close on; this end can still be written to."""
        # asyncio would read the end of file again if reading were resumed.
        self._is_reading = False
        self._pass_on(Ending.FINISHED)
        return True

    def resume_writing(self) -> None:
        """Let the other end read again."""
        self.other.regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the other end of a reset, unless this is the close that we asked for."""
        self.is_lost = True
        self._is_reading = False
        if exc is not None:
            self._pass_on(Ending.ABORTED)
        self._lost()

    def _pass_on(self, item: bytes | Ending) -> None:
        if self._early is None:
            self.line.put(item)
            return
        self._early.append(item)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _deliver(self, item: bytes | Ending) -> None:
        if item is Ending.ABORTED:
            self.other.abort()
        elif item is Ending.FINISHED:
            self._finish()
        else:
            self.other.write(item)
            self.regulate()

    def write(self, data: bytes) -> None:
        """Give bytes to the socket; they are lost when it is closed, as on a real link."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _finish(self) -> None:
        self.has_finished = True
        self.other.write_eof()
        if self.other.has_finished:
            self.close()
            self.other.close()

    def write_eof(self) -> None:
        """Half-close this end once everything is written."""
        if self._transport is not None and not self._transport.is_closing():
            try:
                self._transport.write_eof()
            except OSError:
                # The peer has reset the connection, and the loop has not read that yet.
                self._transport.abort()


class Connection:
    """A client, the target, and what is on the way between them."""

    def __init__(
        self,
        target: tuple[str, int],
        *,
        up: Lane,
        down: Lane,
        link_is_up: asyncio.Event,
        closed: "Callable[[Connection], None]",
    ) -> None:
        """Describe the connection; `take` gives it its client.

        Args:
            target: host and port to connect to.
            up: from the client to the target.
            down: from the target to the client.
            link_is_up: set while the link is up.
            closed: called once with this connection, when both sockets are gone.
        """
        self._client = ConnectionEnd(up, made=self._accepted, lost=self._end_lost)
        self._server = ConnectionEnd(down, lost=self._end_lost)
        self._client.other, self._server.other = self._server, self._client
        self._lanes = up, down
        self._target = target
        self._link_is_up = link_is_up
        self._closed = closed
        self._gone = asyncio.Event()
        self._joining: asyncio.Task[None] | None = None

    async def take(self, accepted: socket.socket) -> None:
        """Own an accepted, non-blocking socket from here on."""
        await asyncio.get_running_loop().connect_accepted_socket(lambda: self._client, accepted)

    def abort(self) -> None:
        """Reset both ends now."""
        if self._joining is not None:
            self._joining.cancel()
        self._client.abort()
        self._server.abort()

    async def wait_closed(self) -> None:
        """Return when both sockets are gone."""
        await self._gone.wait()

    def _accepted(self) -> None:
        self._joining = asyncio.get_running_loop().create_task(self._join())
        self._joining.add_done_callback(lambda _: self._end_lost())

    async def _join(self) -> None:
        # The handshake: the client may send after one round trip, the server answers half a round trip later.
        up, _ = self._lanes
        await self._link_is_up.wait()
        await asyncio.sleep(up.round_trip_s)
        await self._link_is_up.wait()
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._server, *self._target)
        except OSError:
            self._client.abort()
            return
        self._client.start()
        await asyncio.sleep(up.round_trip_s / 2)
        self._server.start()

    def _end_lost(self) -> None:
        if self._joining is None or not self._joining.done() or self._gone.is_set():
            return
        if self._client.is_lost and (self._server.is_lost or not self._server.is_connected):
            self._client.line.close()
            self._server.line.close()
            self._gone.set()
            self._closed(self)


def _socket(transport: asyncio.BaseTransport) -> socket.socket:
    """Give the socket for setting options."""
    return cast("socket.socket", transport.get_extra_info("socket"))
