"""Questions and answers between two processes of one server, over a socket pair that nobody else has.

    message = length u32 | kind u8 | number u32 | length of the name u8 | name | body      little-endian

Either end asks; the number ties an answer to its question. A refusal carries the name of one of our errors and its message, and
becomes that error again.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Self

from isthmus import errors
from isthmus.errors import IsthmusError, MalformedPayload, TailUnavailable

_HEAD = struct.Struct("<IBIB")
_ASK, _ANSWER, _REFUSE = 1, 2, 3
BODY_MAX_BYTES = 64 << 20
"""Of one message; a picture has 6 MiB, the figures of a thousand bundles a few."""

Answer = Callable[[str, bytes], Awaitable[bytes]]
"""Answers a question: its name and body; may raise an IsthmusError, which is the asker's then."""


class Line:
    """One end of a line. Use it as an async context manager.

    Args:
        end: one end of a socket pair; the line closes it.
        answer: answers what the other end asks.
    """

    def __init__(self, end: socket.socket, answer: Answer) -> None:
        self._socket = end
        self._answer = answer
        self._asked = 0
        self._open: dict[int, asyncio.Future[bytes]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self.gone = asyncio.Event()
        """The other end is no more."""

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self._reading = asyncio.create_task(self._read_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(self._reading, *self._answering, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def ask(self, name: str, body: bytes = b"", *, timeout_s: float = 10.0) -> bytes:
        """Ask the other end.

        Raises:
            TailUnavailable: it is gone or does not answer in time.
            IsthmusError: what it refused with.
        """
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            if self.gone.is_set():
                raise TailUnavailable(f"the process that was to answer {name!r} has ended")
            self._send(_ASK, number, name, body)
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError as error:
            raise TailUnavailable(f"a process of this server did not answer {name!r} within {timeout_s:g} s") from error
        finally:
            del self._open[number]

    def _send(self, kind: int, number: int, name: str, body: bytes) -> None:
        encoded = name.encode()
        self._writer.write(_HEAD.pack(_HEAD.size - 4 + len(encoded) + len(body), kind, number, len(encoded)) + encoded + body)

    async def _read_all(self) -> None:
        try:
            while True:
                length, kind, number, name_length = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
                rest_length = length - (_HEAD.size - 4)
                if not name_length <= rest_length <= BODY_MAX_BYTES + name_length:
                    raise MalformedPayload(f"a message between processes claims {rest_length} bytes")
                rest = await self._reader.readexactly(rest_length)
                self._take(kind, number, rest[:name_length].decode(), rest[name_length:])
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.gone.set()
            for answer in self._open.values():
                if not answer.done():
                    answer.set_exception(TailUnavailable("a process of this server ended before it answered"))

    def _take(self, kind: int, number: int, name: str, body: bytes) -> None:
        if kind == _ASK:
            task = asyncio.create_task(self._reply(number, name, body))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        answer = self._open.get(number)
        if answer is None or answer.done():
            return
        if kind == _ANSWER:
            answer.set_result(body)
        else:
            answer.set_exception(_error(name, body.decode()))

    async def _reply(self, number: int, name: str, body: bytes) -> None:
        try:
            self._send(_ANSWER, number, "", await self._answer(name, body))
        except IsthmusError as error:
            self._send(_REFUSE, number, type(error).__name__, str(error).encode())


def _error(name: str, message: str) -> IsthmusError:
    kind = getattr(errors, name, IsthmusError)
    known = isinstance(kind, type) and issubclass(kind, IsthmusError)
    return kind(message) if known else IsthmusError(message)
