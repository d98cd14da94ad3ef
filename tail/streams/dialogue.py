"""Messages both ways with one device: the first one in time, tasks that end together, and an end that is reached once.

What the messages say is the affair of who holds the dialogue: `stream` for captures, `generate.conversation` for a language
model's steps.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from isthmus.errors import RemoteProtocolError

OPEN_TIMEOUT_S = 10.0
"""From the start of a stream to its `open`: several round trips of the worst link, too short to hold streams for nothing."""
DRAIN_LINGER_S = 1.0
"""How long messages are still read after `drain` was sent, and half of the grace at most: they left the device before it knew,
one round trip ago, and the worst links take that long. A well-mannered device closes as soon as it has its answers."""


class Pipe(Protocol):
    """The part of grpc.aio's context that a dialogue needs."""

    async def read(self) -> Any:  # noqa: ANN401 - a message, or gRPC's end marker
        """The next message of the device."""

    async def write(self, message: Any) -> None:  # noqa: ANN401 - a message of the call at hand
        """Send one message; returns when the transport has taken it."""


class Dialogue:
    """Reads, works and writes until one of these fails or all is written.

    Args:
        pipe: where messages come from and go to.
        end_marker: what `pipe.read` gives after the last message.
    """

    def __init__(self, pipe: Pipe, end_marker: object) -> None:
        self.write = pipe.write
        self._pipe = pipe
        self._end_marker = end_marker
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None

    async def first(self) -> Any:  # noqa: ANN401
        """The first message.

        Raises:
            RemoteProtocolError: none came, or not in time.
        """
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                message = await self.read()
        except TimeoutError as error:
            raise RemoteProtocolError(f"no open came within {OPEN_TIMEOUT_S:g} s of the stream's start") from error
        if message is None:
            raise RemoteProtocolError("the stream ended before its open")
        return message

    async def read(self) -> Any:  # noqa: ANN401
        """The next message; None after the last.

        Raises:
            RemoteProtocolError: these bytes are no message.
        """
        try:
            message = await self._pipe.read()
        except DecodeError as error:
            raise RemoteProtocolError(f"the device sent bytes that are no message of isthmus.v1 ({error})") from error
        return None if message is self._end_marker else message

    async def hold(
        self,
        take_next: Callable[[], Awaitable[bool]],
        write_all: Coroutine[Any, Any, None],
        *,
        work: Coroutine[Any, Any, None] | None = None,
        read_over: Callable[[], None],
    ) -> None:
        """Converse to the end, which is that of `write_all`.

        Args:
            take_next: reads one message and sees to it; false after the last.
            write_all: sends what is ready, and ends when nothing more will be.
            work: what is done beside reading and writing.
            read_over: called when no further message will be read.

        Raises:
            BaseException: of the first part that failed, or what `end` was given.
        """
        self._reader = asyncio.create_task(_until_false(take_next))
        writer = asyncio.create_task(write_all)
        others = [] if work is None else [asyncio.create_task(work)]
        self._reader.add_done_callback(lambda _task: read_over())
        for task in (self._reader, *others):
            task.add_done_callback(self._failed)
        writer.add_done_callback(lambda task: None if task.cancelled() else self.end(task.exception()))
        try:
            await self._over
        finally:
            tasks = (self._reader, writer, *others)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def end(self, error: BaseException | None) -> None:
        """End it now, in peace or with an error; the first end counts."""
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def stop_reading(self, grace_s: float) -> None:
        """Read no further message, once those that are under way had time to come.

        Args:
            grace_s: until the dialogue is ended whatever is unanswered.
        """
        asyncio.get_running_loop().call_later(min(DRAIN_LINGER_S, grace_s / 2), self._cancel_reader)

    def _cancel_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    def _failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.end(error)


async def _until_false(take_next: Callable[[], Awaitable[bool]]) -> None:
    while await take_next():
        pass
