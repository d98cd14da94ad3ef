"""One `ModelStreamInfer`: requests in, as many answers out in the order of the requests.

As many requests as a device stream may have captures are in flight; while they are, nothing more is read, so HTTP/2 flow control
holds the rest back at the client and nothing here grows with what it does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError

from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.errors import RemoteProtocolError

Answer = Callable[[wire.ModelInferRequest], Awaitable[wire.ModelStreamInferResponse]]


class InferenceStream:
    """Serves one stream until its client is done, or `finish` is called.

    Args:
        answer: answers one request; what it raises ends the stream.
        window: requests in flight.
        end_marker: what reading gives after the last message.
    """

    def __init__(self, answer: Answer, *, window: int, end_marker: object) -> None:
        self._answer = answer
        self._end_marker = end_marker
        self._room = asyncio.Semaphore(window)
        self._answers: asyncio.Queue[asyncio.Task[wire.ModelStreamInferResponse] | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self.finished = False
        """Whether the server ended it."""

    async def serve(
        self, read: Callable[[], Awaitable[Any]], write: Callable[[wire.ModelStreamInferResponse], Awaitable[None]]
    ) -> None:
        """Run it to its end.

        Raises:
            RemoteProtocolError: bytes came that are no request; what came before is answered.
        """
        self._reader = asyncio.create_task(self._read_all(read))
        try:
            while (answer := await self._answers.get()) is not None:
                await write(await answer)
                self._room.release()
            if not self._reader.cancelled() and (error := self._reader.exception()) is not None:
                raise error
        finally:
            await self._abandon()

    def finish(self) -> None:
        """Read no more; what was read is answered."""
        self.finished = True
        if self._reader is not None:
            self._reader.cancel()

    async def _read_all(self, read: Callable[[], Awaitable[Any]]) -> None:
        try:
            while True:
                await self._room.acquire()
                try:
                    message = await read()
                except DecodeError as error:
                    raise RemoteProtocolError("bytes came that are no ModelInferRequest") from error
                if message is self._end_marker:
                    return
                self._answers.put_nowait(asyncio.create_task(self._one(message)))
        finally:
            self._answers.put_nowait(None)

    async def _one(self, request: wire.ModelInferRequest) -> wire.ModelStreamInferResponse:
        return await self._answer(request)

    async def _abandon(self) -> None:
        """Cancel whatever is left, and see it end."""
        left: list[asyncio.Task[Any]] = [] if self._reader is None else [self._reader]
        while not self._answers.empty():
            if (task := self._answers.get_nowait()) is not None:
                left.append(task)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
