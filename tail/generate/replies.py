"""What goes back in one conversation, and the window that bounds it: as `streams.outbox`, for steps."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.admission.client import Client


class Replies:
    """Replies and other messages, in the order in which they became ready.

    Args:
        window: steps that may be unanswered.
        client: whose conversation it is; gives the credits.
    """

    def __init__(self, *, window: int, client: Client) -> None:
        self._window = window
        self._client = client
        self._messages: deque[wire.StepReply] = deque()
        self._wake = asyncio.Event()
        self._last = False
        self._told = 0
        self.allowed = 0
        """Steps that the device may have sent in all."""

    def begin(self) -> int:
        """Ask for the first credits; returns how many there are at once."""
        for _ in range(self._window):
            self._client.ask(self)
        self._told = self.allowed
        return self.allowed

    def credit(self) -> None:
        """The device may send one more step."""
        self.allowed += 1
        self._wake.set()

    def put(self, message: wire.StepReply) -> None:
        """Send a message."""
        self._messages.append(message)
        self._wake.set()

    def finish(self) -> None:
        """No more will come: `write_all` returns once all are sent."""
        self._last = True
        self._wake.set()

    async def write_all(self, write: Callable[[wire.StepReply], Awaitable[None]]) -> None:
        """Send what is put here, until `finish` was called. The window opens when a reply leaves."""
        while True:
            while self._messages:
                message = self._messages.popleft()
                if message.HasField("tokens"):
                    self._client.ask(self)
                    message.tokens.allowed = self._told = self.allowed
                await write(message)
            if self._last:
                return
            if self.allowed > self._told:
                self._told = self.allowed
                await write(wire.StepReply(credit=wire.Credit(allowed=self.allowed)))
                continue
            self._wake.clear()
            await self._wake.wait()
